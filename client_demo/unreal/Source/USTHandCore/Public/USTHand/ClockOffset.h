#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "USTHand/Export.h"

namespace usthand {

/**
 * How far the server's monotonic clock is ahead of this machine's: of the last pings, the one with the shortest way,
 * since its estimate is wrong by half of that at most.
 */
class USTHANDCORE_API ClockOffset {
public:
    /** @param window How many pings count; old ones go, because clocks drift. */
    explicit ClockOffset(std::size_t window = 16) : window_(window) {}

    /**
     * Takes an answered ping into account, as if both ways took equally long.
     *
     * @param sent_ns When it left, client clock.
     * @param server_received_ns When it arrived, server clock.
     * @param server_sent_ns When the answer left, server clock.
     * @param received_ns When the answer arrived, client clock.
     */
    void Add(std::int64_t sent_ns, std::int64_t server_received_ns, std::int64_t server_sent_ns, std::int64_t received_ns);

    /** Forgets all pings: the service may be another one. */
    void Clear() { pings_.clear(); }

    bool Known() const { return !pings_.empty(); }

    /** Server minus client; 0 while it is not known. */
    std::int64_t OffsetNs() const { return Best().offset_ns; }

    /** Time that the best ping spent on the way, there and back. */
    std::int64_t RoundTripNs() const { return Best().round_trip_ns; }

    std::int64_t ToClientNs(std::int64_t server_ns) const { return server_ns - OffsetNs(); }

private:
    struct Ping {
        std::int64_t offset_ns = 0;
        std::int64_t round_trip_ns = 0;
    };

    Ping Best() const;

    std::size_t window_;
    std::deque<Ping> pings_;
};

}  // namespace usthand
