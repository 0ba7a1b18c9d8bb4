using UnrealBuildTool;

/// <summary>Decoding, axis maps and bones in plain C++17: it includes nothing of Unreal but its module's registration.</summary>
public class USTHandCore : ModuleRules
{
    public USTHandCore(ReadOnlyTargetRules Target) : base(Target)
    {
        PCHUsage = PCHUsageMode.NoPCHs;
        bUseUnity = false;
        PrivateDependencyModuleNames.Add("Core");
    }
}
