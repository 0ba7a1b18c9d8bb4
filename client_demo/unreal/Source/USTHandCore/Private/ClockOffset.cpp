#include "USTHand/ClockOffset.h"

namespace usthand {

void ClockOffset::Add(
    std::int64_t sent_ns, std::int64_t server_received_ns, std::int64_t server_sent_ns, std::int64_t received_ns) {
    pings_.push_back({((server_received_ns - sent_ns) + (server_sent_ns - received_ns)) / 2,
                      (received_ns - sent_ns) - (server_sent_ns - server_received_ns)});
    if (pings_.size() > window_) pings_.pop_front();
}

ClockOffset::Ping ClockOffset::Best() const {
    Ping best = pings_.empty() ? Ping() : pings_.back();
    for (const Ping& ping : pings_) {
        if (ping.round_trip_ns < best.round_trip_ns) best = ping;
    }
    return best;
}

}  // namespace usthand
