// Runs the Unreal-free core without Unreal:
// `decode FILE` says the messages of a packet file as JSON lines;
// `bones FILE` says the hands of an unreal or openxr packet file as Unreal bones;
// `live ADDRESS DIALECT COUNT FILE [TOKEN]` takes COUNT messages from a service, keeps the stream in FILE and says it;
// `url ADDRESS [UP]` says the stream's address; `waits` says the first waits of the backoff.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "JsonLines.h"
#include "PacketFile.h"
#include "USTHand/Bones.h"
#include "USTHand/ClockOffset.h"
#include "USTHand/Connecting.h"
#include "USTHand/MessageDecoder.h"
#include "WebSocketClient.h"

namespace {

constexpr int kRefused = 3;
constexpr int kNotTheProtocol = 4;
constexpr int kBroken = 5;
constexpr int kPings = 8;

using Arguments = std::vector<std::string>;

int Complain(int status, const std::string& error) {
    std::fprintf(stderr, "%s\n", error.c_str());
    return status;
}

std::int64_t NowNs() {
    using std::chrono::steady_clock;
    return std::chrono::duration_cast<std::chrono::nanoseconds>(steady_clock::now().time_since_epoch()).count();
}

int Decode(const std::string& path, bool as_bones) {
    std::vector<Bytes> payloads;
    std::string error;
    if (!ReadPackets(path, payloads, error)) return Complain(kNotTheProtocol, error);
    usthand::MessageDecoder decoder;
    usthand::BoneTree tree;
    for (const Bytes& payload : payloads) {
        usthand::StreamMessage message;
        if (!decoder.Decode(payload.data(), payload.size(), message, error)) return Complain(kNotTheProtocol, error);
        if (!as_bones) {
            if (!std::holds_alternative<std::monostate>(message)) std::printf("%s\n", SayMessage(message).c_str());
            continue;
        }
        if (std::holds_alternative<usthand::Hello>(message) && !usthand::MakeBoneTree(decoder.LastHello(), tree, error)) {
            return Complain(kNotTheProtocol, error);
        }
        if (const auto* hands = std::get_if<usthand::HandsMessage>(&message)) {
            for (const usthand::Hand& hand : hands->hands) {
                std::vector<usthand::Transform> bones;
                if (!usthand::UnrealBones(decoder.LastHello(), tree, hand, bones, error)) {
                    return Complain(kNotTheProtocol, error);
                }
                std::printf("%s\n", SayBones(tree, bones).c_str());
            }
        }
    }
    return 0;
}

int Live(const Arguments& arguments) {
    usthand::StreamOptions options;
    options.address = arguments[1];
    options.dialect = arguments[2];
    options.fields = "";
    const long count = std::strtol(arguments[3].c_str(), nullptr, 10);
    std::string error;
    const std::string url = usthand::StreamUrl(options, error);
    if (url.empty()) return Complain(kBroken, error);
    PacketWriter packets(arguments[4]);
    if (!packets.Ok()) return Complain(kBroken, arguments[4] + " cannot be written");
    WebSocketClient client;
    if (!client.Open(url, arguments.size() > 5 ? arguments[5] : "", error)) {
        return Complain(client.CloseCode() >= 400 ? kRefused : kBroken, error);
    }
    usthand::MessageDecoder decoder;
    usthand::ClockOffset clock;
    Bytes payload;
    for (long hands = 0; hands < count;) {
        if (!client.Receive(payload, error)) {
            return Complain(usthand::IsRefusal(client.CloseCode()) ? kRefused : kBroken, error);
        }
        const std::int64_t received_ns = NowNs();
        packets.Write(received_ns, payload);
        usthand::StreamMessage message;
        if (!decoder.Decode(payload.data(), payload.size(), message, error)) return Complain(kNotTheProtocol, error);
        if (const auto* pong = std::get_if<usthand::Pong>(&message)) {
            clock.Add(pong->t, pong->received_ns, pong->sent_ns, received_ns);
        } else if (std::holds_alternative<usthand::HandsMessage>(message)) {
            if (hands < kPings && !client.SendBinary(usthand::PackPing(NowNs()))) return Complain(kBroken, "no ping left");
            ++hands;
        }
        std::printf("%s\n", SayMessage(message).c_str());
    }
    std::fprintf(stderr, "clock %s %lld %lld\n", clock.Known() ? "known" : "unknown",
                 static_cast<long long>(clock.OffsetNs()), static_cast<long long>(clock.RoundTripNs()));
    return 0;
}

int Url(const Arguments& arguments) {
    usthand::StreamOptions options;
    options.address = arguments[1];
    options.max_hz = 30;
    options.predict_ms = 12;
    options.up = arguments.size() > 2 ? arguments[2] : "";
    std::string error;
    const std::string url = usthand::StreamUrl(options, error);
    if (url.empty()) return Complain(kBroken, error);
    std::printf("%s\n", url.c_str());
    return 0;
}

int Waits() {
    usthand::Backoff backoff(0.5, 2, 3, 0.5);
    for (int i = 0; i < 12; ++i) std::printf("%.9g\n", backoff.NextDelayS());
    return 0;
}

}  // namespace

int main(int count, char** values) {
    const Arguments arguments(values + 1, values + count);
    const std::string command = arguments.empty() ? "" : arguments[0];
    if (command == "decode" && arguments.size() == 2) return Decode(arguments[1], false);
    if (command == "bones" && arguments.size() == 2) return Decode(arguments[1], true);
    if (command == "live" && arguments.size() >= 5) return Live(arguments);
    if (command == "url" && arguments.size() >= 2) return Url(arguments);
    if (command == "waits") return Waits();
    return Complain(2, "use decode FILE, bones FILE, live ADDRESS DIALECT COUNT FILE [TOKEN], url ADDRESS [UP] or waits");
}
