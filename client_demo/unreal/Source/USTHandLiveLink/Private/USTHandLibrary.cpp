#include "USTHandLibrary.h"

#include "Features/IModularFeatures.h"
#include "ILiveLinkClient.h"
#include "USTHandConnection.h"
#include "USTHandLiveLinkSource.h"
#include "USTHandLog.h"

bool UUSTHandLibrary::AddUSTHandSource(const FString& Address)
{
	IModularFeatures& Features = IModularFeatures::Get();
	if (!Features.IsModularFeatureAvailable(ILiveLinkClient::ModularFeatureName))
	{
		UE_LOG(LogUSTHand, Error, TEXT("Live Link is not there; enable its plugin"));
		return false;
	}
	FUSTHandConnection Connection = FUSTHandConnection::FromString(FString());
	if (!Address.IsEmpty())
	{
		Connection.Address = Address;
	}
	ILiveLinkClient& Client = Features.GetModularFeature<ILiveLinkClient>(ILiveLinkClient::ModularFeatureName);
	Client.AddSource(MakeShared<FUSTHandLiveLinkSource>(Connection));
	return true;
}
