#include "USTHandLiveLinkSource.h"

#include "HAL/PlatformTime.h"
#include "ILiveLinkClient.h"
#include "IWebSocket.h"
#include "Roles/LiveLinkAnimationRole.h"
#include "Roles/LiveLinkAnimationTypes.h"
#include "USTHandLog.h"
#include "WebSocketsModule.h"

#include <string>
#include <variant>
#include <vector>

#define LOCTEXT_NAMESPACE "USTHandLiveLink"

namespace
{
	constexpr double SilenceSeconds = 10.0;
	constexpr double PingSeconds = 2.0;
	constexpr double FirstPingSeconds = 0.05;
	constexpr int32 FirstPings = 8;
	constexpr int32 LargestPayload = 16 * 1024 * 1024;

	FString ToUnreal(const std::string& Text)
	{
		return FString(UTF8_TO_TCHAR(Text.c_str()));
	}

	std::string FromUnreal(const FString& Text)
	{
		return std::string(TCHAR_TO_UTF8(*Text));
	}

	int64 NowNs()
	{
		return static_cast<int64>(FPlatformTime::Seconds() * 1e9);
	}

	FTransform ToUnreal(const usthand::Transform& Bone)
	{
		return FTransform(
			FQuat(Bone.rotation.x, Bone.rotation.y, Bone.rotation.z, Bone.rotation.w),
			FVector(Bone.position.x, Bone.position.y, Bone.position.z));
	}

	/** Returns the most confident hand of a side; null if there is none. */
	const usthand::Hand* BestOf(const usthand::HandsMessage& Message, const char* Side)
	{
		const usthand::Hand* Best = nullptr;
		for (const usthand::Hand& Hand : Message.hands)
		{
			if (Hand.side == Side && (Best == nullptr || Hand.confidence > Best->confidence))
			{
				Best = &Hand;
			}
		}
		return Best;
	}
}

FUSTHandLiveLinkSource::FUSTHandLiveLinkSource(const FUSTHandConnection& InConnection)
	: Connection(InConnection)
	, LeftSubject(*(InConnection.SubjectPrefix + TEXT("_Left")))
	, RightSubject(*(InConnection.SubjectPrefix + TEXT("_Right")))
{
}

FUSTHandLiveLinkSource::~FUSTHandLiveLinkSource()
{
	Disconnect();
}

void FUSTHandLiveLinkSource::ReceiveClient(ILiveLinkClient* InClient, FGuid InSourceGuid)
{
	Client = InClient;
	SourceGuid = InSourceGuid;
	Connect();
}

void FUSTHandLiveLinkSource::Update()
{
	const double Now = FPlatformTime::Seconds();
	switch (State)
	{
	case EState::Waiting:
		if (Now >= RetryAtSeconds)
		{
			Connect();
		}
		break;
	case EState::Connecting:
	case EState::Streaming:
		if (Now - HeardAtSeconds > SilenceSeconds)
		{
			Retry(TEXT("the service said nothing for 10 s"));
		}
		else if (State == EState::Streaming && Now >= PingAtSeconds)
		{
			SendPing();
		}
		break;
	case EState::Idle:
	case EState::Refused:
		break;
	}
}

bool FUSTHandLiveLinkSource::IsSourceStillValid() const
{
	// A refused source stays in the list too: there its status says why.
	return Client != nullptr;
}

bool FUSTHandLiveLinkSource::RequestSourceShutdown()
{
	Disconnect();
	State = EState::Idle;
	Client = nullptr;
	return true;
}

FText FUSTHandLiveLinkSource::GetSourceType() const
{
	return LOCTEXT("SourceType", "UST-Hand Live");
}

FText FUSTHandLiveLinkSource::GetSourceMachineName() const
{
	return FText::FromString(Connection.Address);
}

FText FUSTHandLiveLinkSource::GetSourceStatus() const
{
	switch (State)
	{
	case EState::Streaming:
		return bEnded ? LOCTEXT("Ended", "The footage is over") : LOCTEXT("Streaming", "Receiving");
	case EState::Connecting:
		return LOCTEXT("Connecting", "Connecting");
	case EState::Waiting:
	case EState::Refused:
		return FText::FromString(Trouble);
	case EState::Idle:
		break;
	}
	return LOCTEXT("Idle", "Stopped");
}

void FUSTHandLiveLinkSource::Connect()
{
	Disconnect();
	usthand::StreamOptions Options;
	Options.address = FromUnreal(Connection.Address);
	Options.up = FromUnreal(Connection.Up);
	Options.predict_ms = Connection.PredictMs;
	std::string Error;
	const std::string Url = usthand::StreamUrl(Options, Error);
	if (Url.empty())
	{
		Refuse(ToUnreal(Error));
		return;
	}
	TMap<FString, FString> Headers;
	const FString Token = FUSTHandConnection::Token();
	if (!Token.IsEmpty())
	{
		Headers.Add(TEXT("Authorization"), TEXT("Bearer ") + Token);
	}
	State = EState::Connecting;
	HeardAtSeconds = FPlatformTime::Seconds();
	Socket = FWebSocketsModule::Get().CreateWebSocket(ToUnreal(Url), FString(), Headers);
	Socket->OnConnected().AddSP(this, &FUSTHandLiveLinkSource::HandleConnected);
	Socket->OnConnectionError().AddSP(this, &FUSTHandLiveLinkSource::HandleConnectionError);
	Socket->OnClosed().AddSP(this, &FUSTHandLiveLinkSource::HandleClosed);
	Socket->OnBinaryMessage().AddSP(this, &FUSTHandLiveLinkSource::HandleBinary);
	Socket->Connect();
}

void FUSTHandLiveLinkSource::Disconnect()
{
	if (!Socket.IsValid())
	{
		return;
	}
	Socket->OnConnected().RemoveAll(this);
	Socket->OnConnectionError().RemoveAll(this);
	Socket->OnClosed().RemoveAll(this);
	Socket->OnBinaryMessage().RemoveAll(this);
	Socket->Close();
	Socket.Reset();
}

void FUSTHandLiveLinkSource::Retry(const FString& Why)
{
	const double DelaySeconds = Backoff.NextDelayS();
	UE_LOG(LogUSTHand, Warning, TEXT("%s: %s; trying again in %.2f s"), *Connection.Address, *Why, DelaySeconds);
	Trouble = Why;
	State = EState::Waiting;
	// The socket is not let go here: this may be one of its own callbacks. Connect does it.
	RetryAtSeconds = FPlatformTime::Seconds() + DelaySeconds;
}

void FUSTHandLiveLinkSource::Refuse(const FString& Why)
{
	UE_LOG(LogUSTHand, Error, TEXT("%s: %s"), *Connection.Address, *Why);
	Trouble = Why;
	State = EState::Refused;
}

void FUSTHandLiveLinkSource::SendPing()
{
	const std::vector<std::uint8_t> Ping = usthand::PackPing(NowNs());
	Socket->Send(Ping.data(), Ping.size(), true);
	++PingsSent;
	PingAtSeconds = FPlatformTime::Seconds() + (PingsSent < FirstPings ? FirstPingSeconds : PingSeconds);
}

void FUSTHandLiveLinkSource::HandleConnected()
{
	Payload.Reset();
	Clock.Clear();
	PingsSent = 0;
	PingAtSeconds = 0.0;
	HeardAtSeconds = FPlatformTime::Seconds();
}

void FUSTHandLiveLinkSource::HandleConnectionError(const FString& Error)
{
	if (State != EState::Refused)
	{
		Retry(FString::Printf(TEXT("%s (is the service there, and is USTHAND_TOKEN its token?)"), *Error));
	}
}

void FUSTHandLiveLinkSource::HandleClosed(int32 StatusCode, const FString& Reason, bool /*bWasClean*/)
{
	if (State == EState::Refused)
	{
		return;
	}
	const FString Why = FString::Printf(TEXT("the service closed with code %d: %s"), StatusCode, *Reason);
	if (usthand::IsRefusal(StatusCode))
	{
		Refuse(Why);
	}
	else
	{
		Retry(Why);
	}
}

void FUSTHandLiveLinkSource::HandleBinary(const void* Data, SIZE_T Size, bool bIsLastFragment)
{
	HeardAtSeconds = FPlatformTime::Seconds();
	if (State != EState::Connecting && State != EState::Streaming)
	{
		return;
	}
	if (Size > static_cast<SIZE_T>(LargestPayload - Payload.Num()))
	{
		Refuse(TEXT("a message is larger than 16 MiB"));
		return;
	}
	Payload.Append(static_cast<const uint8*>(Data), static_cast<int32>(Size));
	if (bIsLastFragment)
	{
		TakePayload();
		Payload.Reset();
	}
}

void FUSTHandLiveLinkSource::TakePayload()
{
	usthand::StreamMessage Message;
	std::string Error;
	if (!Decoder.Decode(Payload.GetData(), static_cast<std::size_t>(Payload.Num()), Message, Error))
	{
		Refuse(ToUnreal(Error));
		return;
	}
	if (const usthand::Hello* Hello = std::get_if<usthand::Hello>(&Message))
	{
		TakeHello(*Hello);
	}
	else if (const usthand::HandsMessage* Hands = std::get_if<usthand::HandsMessage>(&Message))
	{
		bEnded = Hands->ended;
		TakeHands(*Hands);
	}
	else if (const usthand::Pong* Pong = std::get_if<usthand::Pong>(&Message))
	{
		Clock.Add(Pong->t, Pong->received_ns, Pong->sent_ns, NowNs());
	}
}

void FUSTHandLiveLinkSource::TakeHello(const usthand::Hello& Hello)
{
	std::string Error;
	if (!usthand::MakeBoneTree(Hello, Bones, Error))
	{
		Refuse(ToUnreal(Error));
		return;
	}
	Backoff.Reset();
	State = EState::Streaming;
	UE_LOG(LogUSTHand, Log, TEXT("%s: %s; %s"), *Connection.Address, *ToUnreal(Hello.units), *ToUnreal(Hello.axes));
	TArray<FName> Names;
	TArray<int32> Parents;
	for (std::size_t Bone = 0; Bone < Bones.names.size(); ++Bone)
	{
		Names.Add(FName(*ToUnreal(Bones.names[Bone])));
		Parents.Add(Bones.parents[Bone]);
	}
	for (const FName& Subject : {LeftSubject, RightSubject})
	{
		FLiveLinkStaticDataStruct StaticData(FLiveLinkSkeletonStaticData::StaticStruct());
		FLiveLinkSkeletonStaticData& Skeleton = *StaticData.Cast<FLiveLinkSkeletonStaticData>();
		Skeleton.SetBoneNames(Names);
		Skeleton.SetBoneParents(Parents);
		Skeleton.PropertyNames.Add(FName(TEXT("Confidence")));
		Client->PushSubjectStaticData_AnyThread(
			FLiveLinkSubjectKey(SourceGuid, Subject), ULiveLinkAnimationRole::StaticClass(), MoveTemp(StaticData));
	}
}

void FUSTHandLiveLinkSource::TakeHands(const usthand::HandsMessage& Message)
{
	if (const usthand::Hand* Left = BestOf(Message, "left"))
	{
		PushHand(Message, *Left, LeftSubject);
	}
	if (const usthand::Hand* Right = BestOf(Message, "right"))
	{
		PushHand(Message, *Right, RightSubject);
	}
}

void FUSTHandLiveLinkSource::PushHand(
	const usthand::HandsMessage& Message, const usthand::Hand& Hand, FName Subject)
{
	std::vector<usthand::Transform> Transforms;
	std::string Error;
	if (!usthand::UnrealBones(Decoder.LastHello(), Bones, Hand, Transforms, Error))
	{
		Refuse(ToUnreal(Error));
		return;
	}
	FLiveLinkFrameDataStruct FrameData(FLiveLinkAnimationFrameData::StaticStruct());
	FLiveLinkAnimationFrameData& Frame = *FrameData.Cast<FLiveLinkAnimationFrameData>();
	for (const usthand::Transform& Bone : Transforms)
	{
		Frame.Transforms.Add(ToUnreal(Bone));
	}
	Frame.PropertyValues.Add(static_cast<float>(Hand.confidence));
	// The time is Unreal's own already: Live Link has nothing to correct.
	Frame.WorldTime = FLiveLinkWorldTime(PoseTimeSeconds(Message), 0.0);
	Client->PushSubjectFrameData_AnyThread(FLiveLinkSubjectKey(SourceGuid, Subject), MoveTemp(FrameData));
}

double FUSTHandLiveLinkSource::PoseTimeSeconds(const usthand::HandsMessage& Message) const
{
	if (Clock.Known())
	{
		return static_cast<double>(Clock.ToClientNs(Message.PoseTimeNs())) * 1e-9;
	}
	return FPlatformTime::Seconds() - static_cast<double>(Message.sent_ns - Message.PoseTimeNs()) * 1e-9;
}

#undef LOCTEXT_NAMESPACE
