#include "USTHandSourceFactory.h"

#include "USTHandConnection.h"
#include "USTHandLiveLinkSource.h"

#define LOCTEXT_NAMESPACE "USTHandLiveLink"

FText UUSTHandSourceFactory::GetSourceDisplayName() const
{
	return LOCTEXT("SourceDisplayName", "UST-Hand Live");
}

FText UUSTHandSourceFactory::GetSourceTooltip() const
{
	return LOCTEXT("SourceTooltip", "Hands of the service that Project Settings, Plugins, UST-Hand Live names");
}

TSharedPtr<ILiveLinkSource> UUSTHandSourceFactory::CreateSource(const FString& ConnectionString) const
{
	return MakeShared<FUSTHandLiveLinkSource>(FUSTHandConnection::FromString(ConnectionString));
}

#undef LOCTEXT_NAMESPACE
