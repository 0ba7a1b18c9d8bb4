#include "JsonLines.h"

#include <cmath>
#include <cstdio>

namespace {

using usthand::Hand;
using usthand::HandsMessage;
using usthand::Hello;
using usthand::NamedNumbers;
using usthand::Pong;

std::string Text(const std::string& value) {
    std::string text = "\"";
    for (const char letter : value) {
        if (letter == '"' || letter == '\\') {
            text += '\\';
            text += letter;
        } else if (static_cast<unsigned char>(letter) < ' ') {
            char code[8];
            std::snprintf(code, sizeof(code), "\\u%04x", static_cast<unsigned>(letter));
            text += code;
        } else {
            text += letter;
        }
    }
    return text + "\"";
}

std::string Number(double value) {
    if (!std::isfinite(value)) return "null";
    char text[32];
    std::snprintf(text, sizeof(text), "%.17g", value);
    return text;
}

std::string Single(float value) {
    if (!std::isfinite(value)) return "null";
    char text[32];
    std::snprintf(text, sizeof(text), "%.9g", static_cast<double>(value));
    return text;
}

std::string Integer(long long value) { return std::to_string(value); }

std::string Flag(bool value) { return value ? "true" : "false"; }

template <typename Values, typename Say>
std::string List(const Values& values, Say say) {
    std::string text = "[";
    for (std::size_t i = 0; i < values.size(); ++i) text += (i ? "," : "") + say(values[i]);
    return text + "]";
}

/** An array of a hand, which is empty when it was not sent. */
template <typename Values, typename Say>
std::string Optional(const Values& values, Say say) {
    return values.empty() ? "null" : List(values, say);
}

std::string Map(const std::vector<std::pair<std::string, std::string>>& pairs) {
    std::string text = "{";
    for (std::size_t i = 0; i < pairs.size(); ++i) text += (i ? "," : "") + Text(pairs[i].first) + ":" + pairs[i].second;
    return text + "}";
}

std::string Numbers(const NamedNumbers& numbers) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const auto& [name, value] : numbers) pairs.emplace_back(name, Number(value));
    return Map(pairs);
}

std::string SayHand(const Hand& hand) {
    return Map({{"id", Integer(hand.id)},
                {"side", Text(hand.side)},
                {"confidence", Number(hand.confidence)},
                {"joints", Optional(hand.joints, Single)},
                {"orientations", Optional(hand.orientations, Single)},
                {"radii", Optional(hand.radii, Single)},
                {"tracked", Optional(hand.tracked, Flag)},
                {"covariance_mm2", Optional(hand.covariance_mm2, Single)},
                {"vertices", Optional(hand.vertices, Single)},
                {"pose", Optional(hand.mano_pose, Single)},
                {"shape", Optional(hand.mano_shape, Single)},
                {"translation", Optional(hand.mano_translation, Single)},
                {"reprojection_px", Numbers(hand.reprojection_px)},
                {"view_weight", Numbers(hand.view_weight)},
                {"predicted_ms", Number(hand.predicted_ms)}});
}

std::string SayHello(const Hello& hello) {
    return Map({{"kind", Text("hello")},
                {"v", Integer(hello.version)},
                {"format", Text(hello.format)},
                {"fields", List(hello.fields, Text)},
                {"dialect", Text(hello.dialect)},
                {"units", Text(hello.units)},
                {"axes", Text(hello.axes)},
                {"joint_names", List(hello.joint_names, Text)},
                {"parents", List(hello.parents, Integer)},
                {"model_id", Text(hello.model_id)},
                {"calibration_id", Text(hello.calibration_id)},
                {"server_ns", Integer(hello.server_ns)},
                {"up", Text(hello.up)},
                {"predict_ms", Number(hello.predict_ms)}});
}

std::string SayHands(const HandsMessage& message) {
    const std::vector<std::int64_t> stamps = {
        message.exposure_ns, message.received_ns, message.solved_ns, message.sent_ns};
    return Map({{"kind", Text("hands")},
                {"seq", Integer(message.sequence)},
                {"frame_set", Integer(message.frame_set_id)},
                {"skew_ms", Number(message.skew_ms)},
                {"views", List(message.views, Text)},
                {"masked", List(message.masked, Text)},
                {"suspect", List(message.suspect, Text)},
                {"stamps_ns", List(stamps, Integer)},
                {"calibration_id", Text(message.calibration_id)},
                {"model_id", Text(message.model_id)},
                {"predicted_ms", Number(message.predicted_ms)},
                {"ended", message.ended ? "true" : "false"},
                {"hands", List(message.hands, SayHand)}});
}

}  // namespace

std::string SayMessage(const usthand::StreamMessage& message) {
    if (const Hello* hello = std::get_if<Hello>(&message)) return SayHello(*hello);
    if (const HandsMessage* hands = std::get_if<HandsMessage>(&message)) return SayHands(*hands);
    if (const Pong* pong = std::get_if<Pong>(&message)) {
        return Map({{"kind", Text("pong")},
                    {"t", Integer(pong->t)},
                    {"received_ns", Integer(pong->received_ns)},
                    {"sent_ns", Integer(pong->sent_ns)}});
    }
    return "{}";
}

std::string SayBones(const usthand::BoneTree& tree, const std::vector<usthand::Transform>& bones) {
    std::vector<double> positions;
    std::vector<double> rotations;
    for (const usthand::Transform& bone : bones) {
        positions.insert(positions.end(), {bone.position.x, bone.position.y, bone.position.z});
        rotations.insert(rotations.end(), {bone.rotation.x, bone.rotation.y, bone.rotation.z, bone.rotation.w});
    }
    return Map({{"names", List(tree.names, Text)},
                {"parents", List(tree.parents, Integer)},
                {"positions_cm", List(positions, Number)},
                {"rotations", List(rotations, Number)}});
}
