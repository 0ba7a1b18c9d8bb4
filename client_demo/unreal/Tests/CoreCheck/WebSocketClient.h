#pragma once

#include <cstdint>
#include <string>
#include <vector>

/**
 * As much of a WebSocket client (RFC 6455) as a check on this machine needs, over a plain POSIX socket: no TLS, no
 * redirects, no extensions. Unreal has its own; this one is for the check only.
 */
class WebSocketClient {
public:
    ~WebSocketClient();

    /** Opens ws://host:port/... and shakes hands; `token` goes into a header if it is not empty. */
    bool Open(const std::string& url, const std::string& token, std::string& error);

    /** Waits for the next binary message; false when the connection ended, which CloseCode() then explains. */
    bool Receive(std::vector<std::uint8_t>& payload, std::string& error);

    bool SendBinary(const std::vector<std::uint8_t>& payload);

    /** What the service closed with, or the HTTP status that it refused with; 0 if neither. */
    int CloseCode() const { return close_code_; }

private:
    bool SendFrame(std::uint8_t opcode, const std::vector<std::uint8_t>& payload);
    bool ReadExactly(std::uint8_t* data, std::size_t size);
    bool ReadFrame(std::uint8_t& opcode, bool& last, std::vector<std::uint8_t>& payload);

    int socket_ = -1;
    int close_code_ = 0;
};
