#pragma once

#include "CoreMinimal.h"
#include "Engine/DeveloperSettings.h"

#include "USTHandSettings.generated.h"

/** Where a source that is added from Live Link's menu connects to: Project Settings, Plugins, UST-Hand Live. */
UCLASS(Config = Game, DefaultConfig, meta = (DisplayName = "UST-Hand Live"))
class USTHANDLIVELINK_API UUSTHandSettings : public UDeveloperSettings
{
	GENERATED_BODY()

public:
	/** Of the service: a ws, wss, http or https address. Its token is taken from the environment: USTHAND_TOKEN. */
	UPROPERTY(Config, EditAnywhere, Category = "Connection")
	FString Address = TEXT("ws://127.0.0.1:8000");

	/** Axis of the calibration's world that points up, such as -y or +z. Empty: the service's own setting. */
	UPROPERTY(Config, EditAnywhere, Category = "Connection")
	FString Up;

	/** How far ahead of the exposure the service extrapolates, milliseconds. */
	UPROPERTY(Config, EditAnywhere, Category = "Connection", meta = (ClampMin = 0, ClampMax = 100))
	int32 PredictMs = 0;

	/** Live Link subjects are called by this and _Left or _Right. */
	UPROPERTY(Config, EditAnywhere, Category = "Live Link")
	FString SubjectPrefix = TEXT("USTHand");

	virtual FName GetCategoryName() const override { return FName(TEXT("Plugins")); }
};
