#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

using Bytes = std::vector<std::uint8_t>;

/**
 * Reads the binary payloads of a packet file: 8 bytes "USTHPKT1", then packets of int64 when it came, uint8 kind
 * (1 text, 2 binary), uint32 length and payload, all little-endian.
 */
bool ReadPackets(const std::string& path, std::vector<Bytes>& payloads, std::string& error);

/** Writes a packet file. */
class PacketWriter {
public:
    explicit PacketWriter(const std::string& path);
    ~PacketWriter();
    PacketWriter(const PacketWriter&) = delete;
    PacketWriter& operator=(const PacketWriter&) = delete;

    bool Ok() const { return file_ != nullptr; }
    void Write(std::int64_t received_ns, const Bytes& payload);

private:
    std::FILE* file_;
};
