#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "USTHand/Export.h"

namespace usthand {

/** The kinds of values that msgpack has, as far as a reader has to tell them apart. */
enum class PackKind { Nil, Bool, Integer, Float, String, Binary, Array, Map, Extension };

/** Bytes inside a message; valid while the message is. */
struct ByteView {
    const std::uint8_t* data = nullptr;
    std::size_t size = 0;
};

/**
 * Reads msgpack from front to back, without building objects. Whoever reads says what is expected. The first value
 * that is something else makes the reader fail: from then on it reads zeros, and Error() says what was wrong first, so
 * that one look at the end is enough. Loops over counts must stop when Ok() is false. No exceptions: Unreal has none.
 */
class USTHANDCORE_API MsgPackReader {
public:
    MsgPackReader(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

    bool Ok() const { return error_.empty(); }
    const std::string& Error() const { return error_; }
    bool AtEnd() const { return at_ == size_; }

    /** What comes next; Nil at the end. */
    PackKind Next() const;

    /** Reads a nil if one comes next. */
    bool TryReadNil();

    bool ReadBool();

    /** Reads any integer that fits into 64 bits with a sign. */
    std::int64_t ReadInt64();

    /** Reads any number. */
    double ReadDouble();

    std::string ReadString();

    /** Reads bytes, without copying them. */
    ByteView ReadBinary();

    /** Reads the head of an array and returns how many values follow: never more than can be there. */
    std::size_t ReadArrayHeader();

    /** Reads the head of a map and returns how many pairs follow: never more than can be there. */
    std::size_t ReadMapHeader();

    /** Reads over one value, whatever it is. */
    void Skip() { SkipAt(0); }

    /** Makes the reader fail, unless it has already. */
    void Fail(const std::string& error);

private:
    void SkipAt(int depth);
    void SkipExtension();
    std::uint8_t Peek() const;
    std::uint8_t Take();
    std::uint64_t BigEndian(std::size_t bytes);
    std::size_t Length(std::size_t bytes);
    std::size_t Count(std::size_t count, std::size_t values_each);
    ByteView Advance(std::size_t bytes);
    void FailAt(std::uint8_t code, const char* expected);

    const std::uint8_t* data_;
    std::size_t size_;
    std::size_t at_ = 0;
    std::string error_;
};

}  // namespace usthand
