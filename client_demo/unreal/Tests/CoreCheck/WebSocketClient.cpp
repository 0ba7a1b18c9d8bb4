#include "WebSocketClient.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>

namespace {

constexpr std::uint8_t kContinuation = 0, kBinary = 2, kClose = 8, kPing = 9, kPong = 10;
constexpr std::size_t kLargestFrame = 16 * 1024 * 1024;
constexpr int kPatienceS = 15;

int Dial(const std::string& host, const std::string& port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return -1;
    int dialled = -1;
    for (addrinfo* each = found; each != nullptr && dialled < 0; each = each->ai_next) {
        dialled = socket(each->ai_family, each->ai_socktype, each->ai_protocol);
        if (dialled >= 0 && connect(dialled, each->ai_addr, each->ai_addrlen) != 0) {
            close(dialled);
            dialled = -1;
        }
    }
    freeaddrinfo(found);
    return dialled;
}

}  // namespace

WebSocketClient::~WebSocketClient() {
    if (socket_ >= 0) close(socket_);
}

bool WebSocketClient::Open(const std::string& url, const std::string& token, std::string& error) {
    const std::size_t begin = std::string("ws://").size();
    const std::size_t slash = url.find('/', begin);
    const std::string authority = url.substr(begin, slash - begin);
    const std::size_t colon = authority.rfind(':');
    socket_ = Dial(authority.substr(0, colon), colon == std::string::npos ? "80" : authority.substr(colon + 1));
    if (socket_ < 0) {
        error = "nobody answers at " + authority;
        return false;
    }
    const timeval patience{kPatienceS, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    std::string request = "GET " + url.substr(slash) + " HTTP/1.1\r\nHost: " + authority +
                          "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    if (!token.empty()) request += "Authorization: Bearer " + token + "\r\n";
    request += "\r\n";
    if (send(socket_, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
        error = "the request could not be sent";
        return false;
    }
    std::string answer;
    std::uint8_t letter;
    while (answer.size() < 16384 && (answer.size() < 4 || answer.compare(answer.size() - 4, 4, "\r\n\r\n") != 0)) {
        if (!ReadExactly(&letter, 1)) break;
        answer += static_cast<char>(letter);
    }
    if (answer.compare(0, 12, "HTTP/1.1 101") != 0) {
        close_code_ = answer.size() > 12 ? std::atoi(answer.c_str() + 9) : 0;
        error = "the service refused: " + answer.substr(0, answer.find('\r'));
        return false;
    }
    return true;
}

bool WebSocketClient::Receive(std::vector<std::uint8_t>& payload, std::string& error) {
    payload.clear();
    while (true) {
        std::uint8_t opcode = 0;
        bool last = false;
        std::vector<std::uint8_t> part;
        if (!ReadFrame(opcode, last, part)) {
            error = "the connection broke";
            return false;
        }
        if (opcode == kPing) {
            SendFrame(kPong, part);
        } else if (opcode == kClose) {
            close_code_ = part.size() >= 2 ? part[0] << 8 | part[1] : 1005;
            error = "the service closed with code " + std::to_string(close_code_) + ": " +
                    std::string(part.begin() + (part.size() >= 2 ? 2 : 0), part.end());
            return false;
        } else if (opcode == kBinary || opcode == kContinuation) {
            payload.insert(payload.end(), part.begin(), part.end());
            if (last) return true;
        }
    }
}

bool WebSocketClient::SendBinary(const std::vector<std::uint8_t>& payload) { return SendFrame(kBinary, payload); }

bool WebSocketClient::SendFrame(std::uint8_t opcode, const std::vector<std::uint8_t>& payload) {
    if (payload.size() > 125) return false;
    // The mask need not be secret here: the service is on this machine.
    const std::uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    std::vector<std::uint8_t> frame = {static_cast<std::uint8_t>(0x80 | opcode),
                                       static_cast<std::uint8_t>(0x80 | payload.size()), mask[0], mask[1], mask[2], mask[3]};
    for (std::size_t i = 0; i < payload.size(); ++i) frame.push_back(static_cast<std::uint8_t>(payload[i] ^ mask[i % 4]));
    return send(socket_, frame.data(), frame.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(frame.size());
}

bool WebSocketClient::ReadExactly(std::uint8_t* data, std::size_t size) {
    while (size > 0) {
        const ssize_t got = recv(socket_, data, size, 0);
        if (got <= 0) return false;
        data += got;
        size -= static_cast<std::size_t>(got);
    }
    return true;
}

bool WebSocketClient::ReadFrame(std::uint8_t& opcode, bool& last, std::vector<std::uint8_t>& payload) {
    std::uint8_t head[2];
    if (!ReadExactly(head, 2)) return false;
    opcode = head[0] & 0x0f;
    last = (head[0] & 0x80) != 0;
    std::size_t size = head[1] & 0x7f;
    if (size >= 126) {
        std::uint8_t more[8];
        const std::size_t bytes = size == 126 ? 2 : 8;
        if (!ReadExactly(more, bytes)) return false;
        size = 0;
        for (std::size_t i = 0; i < bytes; ++i) size = size << 8 | more[i];
    }
    if ((head[1] & 0x80) != 0 || size > kLargestFrame) return false;
    payload.resize(size);
    return ReadExactly(payload.data(), size);
}
