#pragma once

#include "CoreMinimal.h"
#include "ILiveLinkSource.h"

#include "USTHand/Bones.h"
#include "USTHand/ClockOffset.h"
#include "USTHand/Connecting.h"
#include "USTHand/MessageDecoder.h"
#include "USTHandConnection.h"

class ILiveLinkClient;
class IWebSocket;

/**
 * Live Link source of a service's hands: two animation subjects, left and right, with one bone a joint, parent-relative,
 * centimetres. The root bone, the wrist, is relative to the origin of the service's world. The subjects' property
 * `Confidence` is in [0, 1]. A hand that is not seen sends no frames, so that Live Link shows its subject as stale
 * instead of a pose that is not there any more.
 *
 * All of it runs in the game thread, where WebSocket callbacks and Update are called.
 */
class USTHANDLIVELINK_API FUSTHandLiveLinkSource : public ILiveLinkSource, public TSharedFromThis<FUSTHandLiveLinkSource>
{
public:
	explicit FUSTHandLiveLinkSource(const FUSTHandConnection& InConnection);
	virtual ~FUSTHandLiveLinkSource() override;

	virtual void ReceiveClient(ILiveLinkClient* InClient, FGuid InSourceGuid) override;
	virtual void Update() override;
	virtual bool IsSourceStillValid() const override;
	virtual bool RequestSourceShutdown() override;
	virtual FText GetSourceType() const override;
	virtual FText GetSourceMachineName() const override;
	virtual FText GetSourceStatus() const override;

private:
	enum class EState : uint8
	{
		Idle,
		Connecting,
		Streaming,
		Waiting,
		Refused,
	};

	void Connect();
	void Disconnect();
	void Retry(const FString& Why);
	void Refuse(const FString& Why);
	void SendPing();

	void HandleConnected();
	void HandleConnectionError(const FString& Error);
	void HandleClosed(int32 StatusCode, const FString& Reason, bool bWasClean);
	void HandleBinary(const void* Data, SIZE_T Size, bool bIsLastFragment);

	void TakePayload();
	void TakeHello(const usthand::Hello& Hello);
	void TakeHands(const usthand::HandsMessage& Message);
	void PushHand(const usthand::HandsMessage& Message, const usthand::Hand& Hand, FName Subject);
	double PoseTimeSeconds(const usthand::HandsMessage& Message) const;

	FUSTHandConnection Connection;
	FName LeftSubject;
	FName RightSubject;
	ILiveLinkClient* Client = nullptr;
	FGuid SourceGuid;
	TSharedPtr<IWebSocket> Socket;
	TArray<uint8> Payload;
	usthand::MessageDecoder Decoder;
	usthand::BoneTree Bones;
	usthand::ClockOffset Clock;
	usthand::Backoff Backoff;
	EState State = EState::Idle;
	FString Trouble;
	/** Whether the newest message said that no further ones will come. */
	bool bEnded = false;
	double RetryAtSeconds = 0.0;
	double HeardAtSeconds = 0.0;
	double PingAtSeconds = 0.0;
	int32 PingsSent = 0;
};
