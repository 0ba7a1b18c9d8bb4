#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "USTHand/Export.h"
#include "USTHand/Messages.h"

namespace usthand {

constexpr int kProtocolVersion = 1;

/**
 * Decodes one stream's msgpack payloads in their order; the hello says how wide the rows of arrays are. Keys that it
 * does not know are read over, so that a newer service does not break it.
 */
class USTHANDCORE_API MessageDecoder {
public:
    /**
     * Decodes a payload.
     *
     * @param message Takes the message; std::monostate for a kind that this client does not know.
     * @param error Takes what was wrong.
     * @return Whether the payload is what the protocol says.
     */
    bool Decode(const std::uint8_t* data, std::size_t size, StreamMessage& message, std::string& error);

    /** The newest hello; its version is 0 before the first. */
    const Hello& LastHello() const { return hello_; }

private:
    Hello hello_;
};

}  // namespace usthand
