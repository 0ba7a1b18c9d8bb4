#include "Modules/ModuleManager.h"
#include "USTHandLog.h"

DEFINE_LOG_CATEGORY(LogUSTHand);

/** Loads what the source connects with. */
class FUSTHandLiveLinkModule : public IModuleInterface
{
public:
	virtual void StartupModule() override
	{
		FModuleManager::Get().LoadModuleChecked(TEXT("WebSockets"));
	}
};

IMPLEMENT_MODULE(FUSTHandLiveLinkModule, USTHandLiveLink)
