using UnrealBuildTool;

/// <summary>The Live Link source on USTHandCore.</summary>
public class USTHandLiveLink : ModuleRules
{
    public USTHandLiveLink(ReadOnlyTargetRules Target) : base(Target)
    {
        PCHUsage = PCHUsageMode.UseExplicitOrSharedPCHs;
        PublicDependencyModuleNames.AddRange(new[] { "Core", "CoreUObject", "Engine", "LiveLinkInterface", "USTHandCore" });
        PrivateDependencyModuleNames.AddRange(new[] { "DeveloperSettings", "WebSockets" });
    }
}
