#pragma once

#include "CoreMinimal.h"
#include "Kismet/BlueprintFunctionLibrary.h"

#include "USTHandLibrary.generated.h"

/** For Blueprints: adds the source in a running game, where there is no Live Link window. */
UCLASS()
class USTHANDLIVELINK_API UUSTHandLibrary : public UBlueprintFunctionLibrary
{
	GENERATED_BODY()

public:
	/**
	 * Adds a Live Link source.
	 *
	 * @param Address Of the service; empty takes the project's settings.
	 * @return Whether Live Link was there to add it to.
	 */
	UFUNCTION(BlueprintCallable, Category = "UST-Hand Live")
	static bool AddUSTHandSource(const FString& Address);
};
