#include "USTHandConnection.h"

#include "HAL/PlatformMisc.h"
#include "Misc/Parse.h"
#include "USTHandSettings.h"

FUSTHandConnection FUSTHandConnection::FromString(const FString& Text)
{
	const UUSTHandSettings* Settings = GetDefault<UUSTHandSettings>();
	FUSTHandConnection Connection;
	Connection.Address = Settings->Address;
	Connection.Up = Settings->Up;
	Connection.SubjectPrefix = Settings->SubjectPrefix;
	Connection.PredictMs = Settings->PredictMs;
	FParse::Value(*Text, TEXT("Address="), Connection.Address);
	FParse::Value(*Text, TEXT("Up="), Connection.Up);
	FParse::Value(*Text, TEXT("Prefix="), Connection.SubjectPrefix);
	FParse::Value(*Text, TEXT("PredictMs="), Connection.PredictMs);
	return Connection;
}

FString FUSTHandConnection::ToString() const
{
	return FString::Printf(
		TEXT("Address=\"%s\" Up=\"%s\" Prefix=\"%s\" PredictMs=%d"), *Address, *Up, *SubjectPrefix, PredictMs);
}

FString FUSTHandConnection::Token()
{
	return FPlatformMisc::GetEnvironmentVariable(TEXT("USTHAND_TOKEN"));
}
