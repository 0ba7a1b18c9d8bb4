#pragma once

#include "CoreMinimal.h"

/** What a source connects to; as text it is Live Link's connection string, which presets keep. */
struct USTHANDLIVELINK_API FUSTHandConnection
{
	FString Address;
	FString Up;
	FString SubjectPrefix;
	int32 PredictMs = 0;

	/** Reads `Address=... Up=... Prefix=... PredictMs=...`; what is missing is taken from the project's settings. */
	static FUSTHandConnection FromString(const FString& Text);

	FString ToString() const;

	/** Returns the service's token from the environment variable USTHAND_TOKEN: it is kept in no asset and no file. */
	static FString Token();
};
