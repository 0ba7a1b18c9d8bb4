#pragma once

// As much of Unreal's public API as the plugin uses, written from its documentation, with empty bodies: to find errors
// of type and spelling without an engine (g++ -fsyntax-only). Nothing here runs, and nothing here proves that the
// plugin works in Unreal. All of Unreal's headers that the plugin includes stand for this one.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>

using int32 = std::int32_t;
using int64 = std::int64_t;
using uint8 = std::uint8_t;
using SIZE_T = std::size_t;
using TCHAR = char16_t;

#define TEXT(text) u##text
#define USTHANDLIVELINK_API
#define UCLASS(...)
#define UPROPERTY(...)
#define UFUNCTION(...)
#define GENERATED_BODY()
#define LOCTEXT(key, text) FText()
#define UTF8_TO_TCHAR(text) (static_cast<const TCHAR*>(nullptr) + 0 * sizeof(*(text)))
#define TCHAR_TO_UTF8(text) (static_cast<const char*>(nullptr) + 0 * sizeof(*(text)))
#define IMPLEMENT_MODULE(type, name) static type name##Stub;
#define DECLARE_LOG_CATEGORY_EXTERN(name, level, all) extern int name
#define DEFINE_LOG_CATEGORY(name) int name
#define UE_LOG(category, level, format, ...) FString::Printf(format, ##__VA_ARGS__)

template <typename T>
std::remove_reference_t<T>&& MoveTemp(T& value) { return static_cast<std::remove_reference_t<T>&&>(value); }

class FString {
public:
	FString() = default;
	FString(const TCHAR*) {}
	const TCHAR* operator*() const { return nullptr; }
	bool IsEmpty() const { return true; }
	template <typename... T>
	static FString Printf(const TCHAR*, T...) {
		static_assert((std::is_scalar_v<T> && ...), "a string is formatted through its characters: *Text");
		return {};
	}
};
inline FString operator+(const FString& a, const TCHAR*) { return a; }
inline FString operator+(const TCHAR*, const FString& b) { return b; }

class FName {
public:
	FName() = default;
	explicit FName(const TCHAR*) {}
};

class FText {
public:
	static FText FromString(const FString&) { return {}; }
};

template <typename T>
class TArray {
public:
	void Add(const T&) {}
	void Append(const T*, int32) {}
	void Reset() {}
	int32 Num() const { return 0; }
	const T* GetData() const { return nullptr; }
};

template <typename K, typename V>
class TMap {
public:
	void Add(const K&, const V&) {}
};

template <typename T>
class TSharedRef {
public:
	T* operator->() const { return nullptr; }
};

template <typename T>
class TSharedPtr {
public:
	TSharedPtr() = default;
	template <typename U>
	TSharedPtr(const TSharedRef<U>&) { static_assert(std::is_base_of_v<T, U>); }
	T* operator->() const { return nullptr; }
	bool IsValid() const { return false; }
	void Reset() {}
};

template <typename T, typename... A>
TSharedRef<T> MakeShared(A&&... arguments) {
	static_assert(!std::is_abstract_v<T> && std::is_constructible_v<T, A...>);
	((void)arguments, ...);
	return {};
}

template <typename T>
class TSharedFromThis {};

struct FGuid {};
struct FQuat { FQuat(double, double, double, double) {} };
struct FVector { FVector(double, double, double) {} };
struct FTransform { FTransform(const FQuat&, const FVector&) {} };
class UScriptStruct;
class UClass;

struct FPlatformTime { static double Seconds() { return 0; } };
struct FPlatformMisc { static FString GetEnvironmentVariable(const TCHAR*) { return {}; } };
struct FParse {
	static bool Value(const TCHAR*, const TCHAR*, FString&) { return false; }
	static bool Value(const TCHAR*, const TCHAR*, int32&) { return false; }
};

class UObject {};
class UBlueprintFunctionLibrary : public UObject {};
class UDeveloperSettings : public UObject {
public:
	virtual ~UDeveloperSettings() = default;
	virtual FName GetCategoryName() const { return {}; }
};
template <typename T>
const T* GetDefault() { return nullptr; }

class IModuleInterface {
public:
	virtual ~IModuleInterface() = default;
	virtual void StartupModule() {}
};
class FDefaultModuleImpl : public IModuleInterface {};
class FModuleManager {
public:
	static FModuleManager& Get();
	IModuleInterface& LoadModuleChecked(const FName&);
	IModuleInterface& LoadModuleChecked(const TCHAR*);
};

// Live Link

struct FLiveLinkSubjectName { FLiveLinkSubjectName(FName) {} };
struct FLiveLinkSubjectKey { FLiveLinkSubjectKey(const FGuid&, const FLiveLinkSubjectName&) {} };
struct FLiveLinkWorldTime {
	FLiveLinkWorldTime() = default;
	FLiveLinkWorldTime(const double) {}
	explicit FLiveLinkWorldTime(const double, const double) {}
};

struct FLiveLinkBaseStaticData { TArray<FName> PropertyNames; };
struct FLiveLinkSkeletonStaticData : FLiveLinkBaseStaticData {
	static UScriptStruct* StaticStruct();
	void SetBoneNames(const TArray<FName>&) {}
	void SetBoneParents(const TArray<int32>&) {}
};
struct FLiveLinkBaseFrameData {
	FLiveLinkWorldTime WorldTime;
	TArray<float> PropertyValues;
};
struct FLiveLinkAnimationFrameData : FLiveLinkBaseFrameData {
	static UScriptStruct* StaticStruct();
	TArray<FTransform> Transforms;
};

template <typename Base>
struct TLiveLinkData {
	TLiveLinkData(UScriptStruct*) {}
	TLiveLinkData(TLiveLinkData&&) = default;
	TLiveLinkData(const TLiveLinkData&) = delete;
	template <typename T>
	T* Cast() { static_assert(std::is_base_of_v<Base, T>); return nullptr; }
};
using FLiveLinkStaticDataStruct = TLiveLinkData<FLiveLinkBaseStaticData>;
using FLiveLinkFrameDataStruct = TLiveLinkData<FLiveLinkBaseFrameData>;

template <typename T>
struct TSubclassOf { TSubclassOf(UClass*) {} };
class ULiveLinkRole : public UObject {};
class ULiveLinkAnimationRole : public ULiveLinkRole {
public:
	static UClass* StaticClass();
};

class ILiveLinkClient;
class ILiveLinkSource {
public:
	virtual ~ILiveLinkSource() = default;
	virtual void ReceiveClient(ILiveLinkClient* InClient, FGuid InSourceGuid) = 0;
	virtual void Update() {}
	virtual bool CanBeDisplayedInUI() const { return true; }
	virtual bool IsSourceStillValid() const = 0;
	virtual bool RequestSourceShutdown() = 0;
	virtual FText GetSourceType() const = 0;
	virtual FText GetSourceMachineName() const = 0;
	virtual FText GetSourceStatus() const = 0;
};

class ILiveLinkClient {
public:
	static FName ModularFeatureName;
	virtual ~ILiveLinkClient() = default;
	virtual FGuid AddSource(TSharedPtr<ILiveLinkSource>) = 0;
	virtual void PushSubjectStaticData_AnyThread(const FLiveLinkSubjectKey&, TSubclassOf<ULiveLinkRole>, FLiveLinkStaticDataStruct&&) = 0;
	virtual void PushSubjectFrameData_AnyThread(const FLiveLinkSubjectKey&, FLiveLinkFrameDataStruct&&) = 0;
};

class ULiveLinkSourceFactory : public UObject {
public:
	enum class EMenuType { SubPanel, MenuEntry, Disabled };
	virtual ~ULiveLinkSourceFactory() = default;
	virtual FText GetSourceDisplayName() const = 0;
	virtual FText GetSourceTooltip() const = 0;
	virtual EMenuType GetMenuType() const { return EMenuType::SubPanel; }
	virtual TSharedPtr<ILiveLinkSource> CreateSource(const FString&) const { return {}; }
};

class IModularFeatures {
public:
	static IModularFeatures& Get();
	bool IsModularFeatureAvailable(const FName&) const;
	template <typename T>
	T& GetModularFeature(const FName&);
};

// WebSockets

template <typename... A>
class TMulticastDelegate {
public:
	template <typename O>
	void AddSP(O*, void (O::*)(A...)) { static_assert(std::is_base_of_v<TSharedFromThis<O>, O>); }
	void RemoveAll(const void*) {}
};

class IWebSocket {
public:
	virtual ~IWebSocket() = default;
	virtual void Connect() = 0;
	virtual void Close(int32 Code = 1000, const FString& Reason = FString()) = 0;
	virtual void Send(const FString& Data) = 0;
	virtual void Send(const void* Data, SIZE_T Size, bool bIsBinary = false) = 0;
	virtual TMulticastDelegate<>& OnConnected() = 0;
	virtual TMulticastDelegate<const FString&>& OnConnectionError() = 0;
	virtual TMulticastDelegate<int32, const FString&, bool>& OnClosed() = 0;
	virtual TMulticastDelegate<const void*, SIZE_T, bool>& OnBinaryMessage() = 0;
};

class FWebSocketsModule : public IModuleInterface {
public:
	static FWebSocketsModule& Get();
	TSharedRef<IWebSocket> CreateWebSocket(const FString&, const FString&, const TMap<FString, FString>&);
};
