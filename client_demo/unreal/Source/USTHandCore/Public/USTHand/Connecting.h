#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "USTHand/Export.h"

namespace usthand {

/** Where the service is and what is asked of it. The stream is always msgpack here. */
struct StreamOptions {
    std::string address = "ws://127.0.0.1:8000";  ///< ws, wss, http or https, without a query.
    std::string dialect = "unreal";
    std::string fields = "joints";  ///< With commas between; empty for the service's default.
    std::string up;                 ///< Axis of the calibration's world that is up; empty for the service's setting.
    double max_hz = 0;              ///< Messages a second at most; 0 for as many as there are.
    double predict_ms = 0;          ///< How far ahead to extrapolate, whole milliseconds; 0 for not at all.
};

/**
 * Builds the stream's address.
 *
 * @param error Takes what was wrong with the service's address.
 * @return The address; empty if there was something wrong.
 */
USTHANDCORE_API std::string StreamUrl(const StreamOptions& options, std::string& error);

/** Packs {"type": "ping", "t": ...}, the one message that clients send; the answer carries the same number. */
USTHANDCORE_API std::vector<std::uint8_t> PackPing(std::int64_t t);

/** Says whether a WebSocket close code means that the service would refuse again: no further try is made then. */
USTHANDCORE_API bool IsRefusal(int close_code);

/** How long to wait between tries to connect: ever longer up to a cap, and never all clients at once. */
class USTHANDCORE_API Backoff {
public:
    explicit Backoff(double first_s = 0.25, double factor = 2.0, double cap_s = 10.0, double jitter = 0.5)
        : first_s_(first_s), factor_(factor), cap_s_(cap_s), jitter_(jitter), longest_s_(first_s), random_(std::random_device{}()) {}

    /** Returns the next wait. */
    double NextDelayS();

    /** Begins anew, after a success. */
    void Reset() { longest_s_ = first_s_; }

private:
    double first_s_;
    double factor_;
    double cap_s_;
    double jitter_;
    double longest_s_;
    std::minstd_rand random_;
};

}  // namespace usthand
