#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace usthand {

// Positions are in the units and axes that the hello says (for the dialect "unreal": centimetres, left-handed, +Z up,
// +X forward); quaternions are x, y, z, w; covariances are square millimetres; times are nanoseconds of the server's
// monotonic clock. Arrays are flat, in row order. What was not asked for is empty. Text is UTF-8.

using NamedNumbers = std::vector<std::pair<std::string, double>>;

/** How the messages that follow are to be read. */
struct Hello {
    int version = 0;
    std::string format;
    std::vector<std::string> fields;
    std::string dialect;
    std::string units;
    std::string axes;
    std::string up;                        ///< Axis of the calibration's world that is up; empty if none is taken.
    std::vector<std::string> joint_names;  ///< In the order of all joint arrays.
    std::vector<int> parents;              ///< -1 for the root, which need not come first.
    NamedNumbers array_columns;            ///< Numbers a row in each two-dimensional array.
    std::string model_id;
    std::string calibration_id;
    std::int64_t server_ns = 0;
    double predict_ms = 0;
};

/** One hand. */
struct Hand {
    std::int64_t id = 0;   ///< Stays the same while the hand is tracked.
    std::string side;      ///< "left" or "right".
    double confidence = 0; ///< In [0, 1].
    std::vector<float> joints;          ///< Positions, 3 a joint.
    std::vector<float> orientations;    ///< Global rotations, 4 a joint.
    std::vector<float> radii;           ///< Of each joint, in the dialect's unit of length.
    std::vector<bool> tracked;          ///< Which joints a view saw; the others come from the hand model.
    std::vector<float> covariance_mm2;  ///< xx, xy, xz, yy, yz, zz of each joint.
    std::vector<float> vertices;        ///< The mesh, 3 a vertex.
    std::vector<float> mano_pose;
    std::vector<float> mano_shape;
    std::vector<float> mano_translation;
    NamedNumbers reprojection_px;  ///< By camera: how far its own 2D joints lie from this hand.
    NamedNumbers view_weight;      ///< By camera: how far it was believed.
    double predicted_ms = 0;       ///< How far ahead of the exposure it was extrapolated; 0 for a young track.

    std::size_t JointCount() const { return joints.size() / 3; }
};

/** The hands of one frame set; none when none is seen. */
struct HandsMessage {
    std::int64_t sequence = 0;  ///< Counts the service's answers; a gap is answers that did not come here.
    std::int64_t frame_set_id = 0;
    double skew_ms = 0;
    std::vector<std::string> views;
    std::vector<std::string> masked;   ///< Cameras that were left out, because their calibration no longer fits.
    std::vector<std::string> suspect;  ///< Cameras in use although one of them no longer fits.
    std::int64_t exposure_ns = 0;
    std::int64_t received_ns = 0;
    std::int64_t solved_ns = 0;
    std::int64_t sent_ns = 0;
    std::string calibration_id;
    std::string model_id;
    double predicted_ms = 0;  ///< How far ahead of the exposure hands were asked for.
    bool ended = false;       ///< Whether the footage is over: there are no hands, and no message will follow.
    std::vector<Hand> hands;

    /** The instant that the message is for, server clock. */
    std::int64_t PoseTimeNs() const { return exposure_ns + static_cast<std::int64_t>(std::llround(predicted_ms * 1e6)); }
};

/** The answer to a ping. */
struct Pong {
    std::int64_t t = 0;  ///< What the ping said; 0 where it said no integer.
    std::int64_t received_ns = 0;
    std::int64_t sent_ns = 0;
};

/** A message; std::monostate is one of a kind that this client does not know. */
using StreamMessage = std::variant<std::monostate, Hello, HandsMessage, Pong>;

}  // namespace usthand
