#include "PacketFile.h"

#include <cstring>

namespace {

constexpr char kMagic[] = "USTHPKT1";
constexpr std::size_t kMagicSize = 8;
constexpr std::size_t kHeadSize = 13;
constexpr std::uint8_t kBinary = 2;

}  // namespace

bool ReadPackets(const std::string& path, std::vector<Bytes>& payloads, std::string& error) {
    std::FILE* file = std::fopen(path.c_str(), "rb");
    if (file == nullptr) {
        error = path + " cannot be opened";
        return false;
    }
    Bytes data;
    std::uint8_t part[65536];
    for (std::size_t got; (got = std::fread(part, 1, sizeof(part), file)) > 0;) data.insert(data.end(), part, part + got);
    std::fclose(file);
    if (data.size() < kMagicSize || std::memcmp(data.data(), kMagic, kMagicSize) != 0) {
        error = path + " does not begin with " + kMagic + "; is it a packet file?";
        return false;
    }
    for (std::size_t at = kMagicSize; at < data.size();) {
        if (data.size() - at < kHeadSize) {
            error = path + " ends within the head of the packet at byte " + std::to_string(at);
            return false;
        }
        const std::uint8_t* length = &data[at + 9];
        const std::size_t size = length[0] | std::size_t(length[1]) << 8 | std::size_t(length[2]) << 16 | std::size_t(length[3]) << 24;
        const std::size_t begin = at + kHeadSize;
        if (data.size() - begin < size) {
            error = path + " ends within the packet at byte " + std::to_string(at);
            return false;
        }
        if (data[at + 8] == kBinary) payloads.emplace_back(data.begin() + begin, data.begin() + begin + size);
        at = begin + size;
    }
    return true;
}

PacketWriter::PacketWriter(const std::string& path) : file_(std::fopen(path.c_str(), "wb")) {
    if (file_ != nullptr) std::fwrite(kMagic, 1, kMagicSize, file_);
}

PacketWriter::~PacketWriter() {
    if (file_ != nullptr) std::fclose(file_);
}

void PacketWriter::Write(std::int64_t received_ns, const Bytes& payload) {
    std::uint8_t head[kHeadSize];
    for (int i = 0; i < 8; ++i) head[i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(received_ns) >> (8 * i));
    head[8] = kBinary;
    for (int i = 0; i < 4; ++i) head[9 + i] = static_cast<std::uint8_t>(payload.size() >> (8 * i));
    std::fwrite(head, 1, kHeadSize, file_);
    std::fwrite(payload.data(), 1, payload.size(), file_);
}
