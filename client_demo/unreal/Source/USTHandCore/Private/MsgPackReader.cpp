#include "USTHand/MsgPackReader.h"

#include <cstring>

namespace usthand {
namespace {

constexpr int kDeepestSkip = 64;

PackKind KindOf(std::uint8_t code) {
    if (code <= 0x7f || code >= 0xe0) return PackKind::Integer;
    if (code <= 0x8f) return PackKind::Map;
    if (code <= 0x9f) return PackKind::Array;
    if (code <= 0xbf) return PackKind::String;
    switch (code) {
        case 0xc0: return PackKind::Nil;
        case 0xc2:
        case 0xc3: return PackKind::Bool;
        case 0xc4:
        case 0xc5:
        case 0xc6: return PackKind::Binary;
        case 0xca:
        case 0xcb: return PackKind::Float;
        case 0xd9:
        case 0xda:
        case 0xdb: return PackKind::String;
        case 0xdc:
        case 0xdd: return PackKind::Array;
        case 0xde:
        case 0xdf: return PackKind::Map;
        default: return code >= 0xcc && code <= 0xd3 ? PackKind::Integer : PackKind::Extension;
    }
}

const char* NameOf(PackKind kind) {
    switch (kind) {
        case PackKind::Nil: return "Nil";
        case PackKind::Bool: return "Bool";
        case PackKind::Integer: return "Integer";
        case PackKind::Float: return "Float";
        case PackKind::String: return "String";
        case PackKind::Binary: return "Binary";
        case PackKind::Array: return "Array";
        case PackKind::Map: return "Map";
        case PackKind::Extension: break;
    }
    return "Extension";
}

template <typename To, typename From>
To SameBits(From from) {
    static_assert(sizeof(To) == sizeof(From), "the bits must fit");
    To to;
    std::memcpy(&to, &from, sizeof(to));
    return to;
}

}  // namespace

PackKind MsgPackReader::Next() const { return at_ < size_ ? KindOf(data_[at_]) : PackKind::Nil; }

bool MsgPackReader::TryReadNil() {
    if (!Ok() || at_ >= size_ || data_[at_] != 0xc0) return false;
    ++at_;
    return true;
}

bool MsgPackReader::ReadBool() {
    const std::uint8_t code = Take();
    if (code != 0xc2 && code != 0xc3) FailAt(code, "a boolean");
    return Ok() && code == 0xc3;
}

std::int64_t MsgPackReader::ReadInt64() {
    const std::uint8_t code = Take();
    if (!Ok()) return 0;
    if (code <= 0x7f) return code;
    if (code >= 0xe0) return static_cast<std::int8_t>(code);
    switch (code) {
        case 0xcc: return static_cast<std::int64_t>(BigEndian(1));
        case 0xcd: return static_cast<std::int64_t>(BigEndian(2));
        case 0xce: return static_cast<std::int64_t>(BigEndian(4));
        case 0xcf: {
            const std::uint64_t value = BigEndian(8);
            if (value > static_cast<std::uint64_t>(INT64_MAX)) {
                Fail("the integer " + std::to_string(value) + " is too large for 64 bits with a sign");
                return 0;
            }
            return static_cast<std::int64_t>(value);
        }
        case 0xd0: return static_cast<std::int8_t>(BigEndian(1));
        case 0xd1: return static_cast<std::int16_t>(BigEndian(2));
        case 0xd2: return static_cast<std::int32_t>(BigEndian(4));
        case 0xd3: return static_cast<std::int64_t>(BigEndian(8));
        default: FailAt(code, "an integer"); return 0;
    }
}

double MsgPackReader::ReadDouble() {
    const std::uint8_t code = Peek();
    switch (code) {
        case 0xca: Take(); return SameBits<float>(static_cast<std::uint32_t>(BigEndian(4)));
        case 0xcb: Take(); return SameBits<double>(BigEndian(8));
        case 0xcf: Take(); return static_cast<double>(BigEndian(8));
        default: return static_cast<double>(ReadInt64());
    }
}

std::string MsgPackReader::ReadString() {
    const std::uint8_t code = Take();
    if (!Ok()) return {};
    std::size_t length = 0;
    if (code >= 0xa0 && code <= 0xbf) {
        length = code & 0x1f;
    } else {
        switch (code) {
            case 0xd9: length = Length(1); break;
            case 0xda: length = Length(2); break;
            case 0xdb: length = Length(4); break;
            default: FailAt(code, "a string"); return {};
        }
    }
    const ByteView bytes = Advance(length);
    return Ok() ? std::string(reinterpret_cast<const char*>(bytes.data), bytes.size) : std::string();
}

ByteView MsgPackReader::ReadBinary() {
    const std::uint8_t code = Take();
    if (!Ok()) return {};
    switch (code) {
        case 0xc4: return Advance(Length(1));
        case 0xc5: return Advance(Length(2));
        case 0xc6: return Advance(Length(4));
        default: FailAt(code, "bytes"); return {};
    }
}

std::size_t MsgPackReader::ReadArrayHeader() {
    const std::uint8_t code = Take();
    if (!Ok()) return 0;
    if (code >= 0x90 && code <= 0x9f) return Count(code & 0x0f, 1);
    switch (code) {
        case 0xdc: return Count(Length(2), 1);
        case 0xdd: return Count(Length(4), 1);
        default: FailAt(code, "an array"); return 0;
    }
}

std::size_t MsgPackReader::ReadMapHeader() {
    const std::uint8_t code = Take();
    if (!Ok()) return 0;
    if (code >= 0x80 && code <= 0x8f) return Count(code & 0x0f, 2);
    switch (code) {
        case 0xde: return Count(Length(2), 2);
        case 0xdf: return Count(Length(4), 2);
        default: FailAt(code, "a map"); return 0;
    }
}

void MsgPackReader::Fail(const std::string& error) {
    if (Ok()) error_ = error.empty() ? "unknown error" : error;
}

void MsgPackReader::SkipAt(int depth) {
    if (depth > kDeepestSkip) {
        Fail("values are nested deeper than " + std::to_string(kDeepestSkip));
        return;
    }
    switch (KindOf(Peek())) {
        case PackKind::Nil:
        case PackKind::Bool: Take(); break;
        case PackKind::Integer:
        case PackKind::Float: ReadDouble(); break;
        case PackKind::String: ReadString(); break;
        case PackKind::Binary: ReadBinary(); break;
        case PackKind::Array:
            for (std::size_t left = ReadArrayHeader(); left > 0 && Ok(); --left) SkipAt(depth + 1);
            break;
        case PackKind::Map:
            for (std::size_t left = ReadMapHeader(); left > 0 && Ok(); --left) {
                SkipAt(depth + 1);
                SkipAt(depth + 1);
            }
            break;
        case PackKind::Extension: SkipExtension(); break;
    }
}

void MsgPackReader::SkipExtension() {
    const std::uint8_t code = Take();
    std::size_t length = 0;
    switch (code) {
        case 0xc7: length = Length(1); break;
        case 0xc8: length = Length(2); break;
        case 0xc9: length = Length(4); break;
        case 0xd4: length = 1; break;
        case 0xd5: length = 2; break;
        case 0xd6: length = 4; break;
        case 0xd7: length = 8; break;
        case 0xd8: length = 16; break;
        default: FailAt(code, "a value"); return;
    }
    Advance(1);
    Advance(length);
}

std::uint8_t MsgPackReader::Peek() const { return at_ < size_ ? data_[at_] : 0; }

std::uint8_t MsgPackReader::Take() {
    if (!Ok()) return 0;
    if (at_ >= size_) {
        Fail("the message ends where a value was expected");
        return 0;
    }
    return data_[at_++];
}

std::uint64_t MsgPackReader::BigEndian(std::size_t bytes) {
    const ByteView view = Advance(bytes);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < view.size; ++i) value = (value << 8) | view.data[i];
    return value;
}

std::size_t MsgPackReader::Length(std::size_t bytes) {
    const std::uint64_t value = BigEndian(bytes);
    if (value > size_ - at_) {
        Fail("a value of length " + std::to_string(value) + " does not fit into the rest of the message");
        return 0;
    }
    return static_cast<std::size_t>(value);
}

std::size_t MsgPackReader::Count(std::size_t count, std::size_t values_each) {
    if (!Ok()) return 0;
    if (count > (size_ - at_) / values_each) {
        Fail(std::to_string(count) + " entries do not fit into the rest of the message");
        return 0;
    }
    return count;
}

ByteView MsgPackReader::Advance(std::size_t bytes) {
    if (!Ok()) return {};
    if (bytes > size_ - at_) {
        Fail("the message ends within a value");
        return {};
    }
    const ByteView view{data_ + at_, bytes};
    at_ += bytes;
    return view;
}

void MsgPackReader::FailAt(std::uint8_t code, const char* expected) {
    Fail("at byte " + std::to_string(at_ - 1) + " is a value of kind " + NameOf(KindOf(code)) + ", not " + expected);
}

}  // namespace usthand
