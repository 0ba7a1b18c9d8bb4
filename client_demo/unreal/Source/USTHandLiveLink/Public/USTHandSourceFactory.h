#pragma once

#include "CoreMinimal.h"
#include "LiveLinkSourceFactory.h"

#include "USTHandSourceFactory.generated.h"

/** Live Link's menu entry: adds a source that connects as the project's settings say. */
UCLASS()
class USTHANDLIVELINK_API UUSTHandSourceFactory : public ULiveLinkSourceFactory
{
	GENERATED_BODY()

public:
	virtual FText GetSourceDisplayName() const override;
	virtual FText GetSourceTooltip() const override;
	virtual EMenuType GetMenuType() const override { return EMenuType::MenuEntry; }
	virtual TSharedPtr<ILiveLinkSource> CreateSource(const FString& ConnectionString) const override;
};
