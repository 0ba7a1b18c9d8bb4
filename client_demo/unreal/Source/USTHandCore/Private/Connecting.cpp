#include "USTHand/Connecting.h"

#include <algorithm>
#include <cstdio>

namespace usthand {
namespace {

constexpr char kStreamPath[] = "/api/v1/stream";

bool EndsWith(const std::string& text, const std::string& end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::string Escaped(const std::string& text) {
    static const std::string kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~,";
    std::string escaped;
    for (const char letter : text) {
        if (kPlain.find(letter) != std::string::npos) {
            escaped += letter;
        } else {
            char code[4];
            std::snprintf(code, sizeof(code), "%%%02X", static_cast<unsigned char>(letter));
            escaped += code;
        }
    }
    return escaped;
}

std::string Said(double number) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.9g", number);
    return text;
}

}  // namespace

std::string StreamUrl(const StreamOptions& options, std::string& error) {
    const std::string& address = options.address;
    const std::size_t colon = address.find("://");
    const std::string scheme = colon == std::string::npos ? "" : address.substr(0, colon);
    if (scheme != "ws" && scheme != "wss" && scheme != "http" && scheme != "https") {
        error = "'" + address + "' is no ws, wss, http or https address; write for example ws://127.0.0.1:8000";
        return {};
    }
    std::string rest = address.substr(colon + 3);
    if (rest.find_first_of("?#@") != std::string::npos) {
        error = "'" + address + "' has a query or a user; set the token and the other options";
        return {};
    }
    while (EndsWith(rest, "/")) rest.pop_back();
    if (rest.empty() || rest[0] == '/' || rest[0] == ':') {
        error = "'" + address + "' names no host; write for example ws://127.0.0.1:8000";
        return {};
    }
    if (!EndsWith(rest, kStreamPath)) rest += kStreamPath;
    std::string url = (scheme == "ws" || scheme == "http" ? "ws://" : "wss://") + rest;
    url += "?format=msgpack&dialect=" + Escaped(options.dialect);
    if (!options.fields.empty()) url += "&fields=" + Escaped(options.fields);
    if (options.max_hz != 0) url += "&max_hz=" + Said(options.max_hz);
    if (options.predict_ms != 0) url += "&predict_ms=" + Said(options.predict_ms);
    if (!options.up.empty()) url += "&up=" + Escaped(options.up);
    return url;
}

std::vector<std::uint8_t> PackPing(std::int64_t t) {
    std::vector<std::uint8_t> packed = {0x82, 0xa4, 't', 'y', 'p', 'e', 0xa4, 'p', 'i', 'n', 'g', 0xa1, 't', 0xd3};
    for (int shift = 56; shift >= 0; shift -= 8) {
        packed.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(t) >> shift));
    }
    return packed;
}

bool IsRefusal(int close_code) {
    switch (close_code) {
        case 1002:
        case 1003:
        case 1007:
        case 1008:
        case 1009:
        case 1010: return true;
        default: return false;
    }
}

double Backoff::NextDelayS() {
    const double share = std::uniform_real_distribution<double>(0, 1)(random_);
    const double delay_s = longest_s_ * (1 - jitter_ * share);
    longest_s_ = std::min(longest_s_ * factor_, cap_s_);
    return delay_s;
}

}  // namespace usthand
