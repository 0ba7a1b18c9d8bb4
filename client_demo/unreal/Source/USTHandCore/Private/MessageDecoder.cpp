#include "USTHand/MessageDecoder.h"

#include <cstring>

#include "USTHand/MsgPackReader.h"

namespace usthand {
namespace {

using Strings = std::vector<std::string>;

/** Reads a map and gives each key to a function, which must read or skip its value. */
template <typename Read>
void ForEachKey(MsgPackReader& reader, Read read) {
    for (std::size_t left = reader.ReadMapHeader(); left > 0 && reader.Ok(); --left) {
        const std::string key = reader.ReadString();
        if (reader.Ok()) read(key);
    }
}

Strings ReadStrings(MsgPackReader& reader) {
    Strings strings;
    for (std::size_t left = reader.ReadArrayHeader(); left > 0 && reader.Ok(); --left) {
        strings.push_back(reader.ReadString());
    }
    return strings;
}

std::vector<int> ReadIntegers(MsgPackReader& reader) {
    std::vector<int> integers;
    for (std::size_t left = reader.ReadArrayHeader(); left > 0 && reader.Ok(); --left) {
        integers.push_back(static_cast<int>(reader.ReadInt64()));
    }
    return integers;
}

double ReadNumber(MsgPackReader& reader) { return reader.TryReadNil() ? 0.0 : reader.ReadDouble(); }

NamedNumbers ReadNumbers(MsgPackReader& reader) {
    NamedNumbers numbers;
    if (reader.TryReadNil()) return numbers;
    ForEachKey(reader, [&](const std::string& key) {
        const double value = reader.TryReadNil() ? std::nan("") : reader.ReadDouble();
        numbers.emplace_back(key, value);
    });
    return numbers;
}

std::vector<float> Floats(MsgPackReader& reader, const char* name, std::size_t columns) {
    const ByteView bytes = reader.ReadBinary();
    if (bytes.size % (4 * columns) != 0) {
        reader.Fail(std::string(name) + " has " + std::to_string(bytes.size) + " bytes, not a multiple of the " +
                    std::to_string(4 * columns) + " of a row");
        return {};
    }
    std::vector<float> floats(bytes.size / 4);
    for (std::size_t i = 0; i < floats.size(); ++i) {
        const std::uint8_t* four = bytes.data + 4 * i;
        const std::uint32_t bits = static_cast<std::uint32_t>(four[0]) | static_cast<std::uint32_t>(four[1]) << 8 |
                                   static_cast<std::uint32_t>(four[2]) << 16 | static_cast<std::uint32_t>(four[3]) << 24;
        std::memcpy(&floats[i], &bits, sizeof(bits));
    }
    return floats;
}

/** Reads rows of floats; nil is none. */
std::vector<float> ReadRows(MsgPackReader& reader, const Hello& hello, const char* name, std::size_t expected) {
    if (reader.TryReadNil()) return {};
    for (const auto& [array, columns] : hello.array_columns) {
        if (array == name && columns != static_cast<double>(expected)) {
            reader.Fail("hello says that " + array + " has " + std::to_string(static_cast<int>(columns)) +
                        " numbers a row, and this client reads " + std::to_string(expected));
            return {};
        }
    }
    return Floats(reader, name, expected);
}

std::vector<bool> ReadFlags(MsgPackReader& reader) {
    std::vector<bool> flags;
    if (reader.TryReadNil()) return flags;
    if (reader.Next() == PackKind::Binary) {
        const ByteView bytes = reader.ReadBinary();
        for (std::size_t i = 0; i < bytes.size; ++i) flags.push_back(bytes.data[i] != 0);
        return flags;
    }
    for (std::size_t left = reader.ReadArrayHeader(); left > 0 && reader.Ok(); --left) {
        flags.push_back(reader.ReadBool());
    }
    return flags;
}

/** Finds the type; the reader is a copy, so that the caller's stays where it is. */
std::string TypeOf(MsgPackReader reader, std::string& error) {
    std::string type;
    if (reader.Next() != PackKind::Map) {
        reader.Fail("a message is no map; is this the address of the stream?");
    }
    ForEachKey(reader, [&](const std::string& key) {
        if (key == "type" && reader.Next() == PackKind::String) {
            type = reader.ReadString();
        } else {
            reader.Skip();
        }
    });
    error = reader.Error();
    return type;
}

Hello ReadHello(MsgPackReader& reader) {
    Hello hello;
    ForEachKey(reader, [&](const std::string& key) {
        if (key == "v") hello.version = static_cast<int>(reader.ReadInt64());
        else if (key == "format") hello.format = reader.ReadString();
        else if (key == "fields") hello.fields = ReadStrings(reader);
        else if (key == "dialect") hello.dialect = reader.ReadString();
        else if (key == "units") hello.units = reader.ReadString();
        else if (key == "axes") hello.axes = reader.ReadString();
        else if (key == "up") hello.up = reader.TryReadNil() ? std::string() : reader.ReadString();
        else if (key == "joint_names") hello.joint_names = ReadStrings(reader);
        else if (key == "parents") hello.parents = ReadIntegers(reader);
        else if (key == "array_columns") hello.array_columns = ReadNumbers(reader);
        else if (key == "model_id") hello.model_id = reader.ReadString();
        else if (key == "calibration_id") hello.calibration_id = reader.ReadString();
        else if (key == "server_ns") hello.server_ns = reader.ReadInt64();
        else if (key == "predict_ms") hello.predict_ms = ReadNumber(reader);
        else reader.Skip();
    });
    if (hello.version != kProtocolVersion) {
        reader.Fail("the service speaks protocol " + std::to_string(hello.version) + " and this client " +
                    std::to_string(kProtocolVersion) + "; take the plugin of the service's version");
    }
    if (hello.joint_names.empty() || hello.parents.size() != hello.joint_names.size()) {
        reader.Fail("hello has " + std::to_string(hello.joint_names.size()) + " joint_names and " +
                    std::to_string(hello.parents.size()) + " parents");
    }
    return hello;
}

void ReadMano(MsgPackReader& reader, Hand& hand) {
    if (reader.TryReadNil()) return;
    ForEachKey(reader, [&](const std::string& key) {
        if (key == "pose") hand.mano_pose = Floats(reader, "pose", 1);
        else if (key == "shape") hand.mano_shape = Floats(reader, "shape", 1);
        else if (key == "translation") hand.mano_translation = Floats(reader, "translation", 1);
        else reader.Skip();
    });
}

void RequireRows(MsgPackReader& reader, const Hand& hand, const char* name, std::size_t rows) {
    if (hand.joints.empty() || rows == 0 || rows == hand.JointCount()) return;
    reader.Fail(std::string(name) + " has " + std::to_string(rows) + " rows for " +
                std::to_string(hand.JointCount()) + " joints");
}

Hand ReadHand(MsgPackReader& reader, const Hello& hello) {
    Hand hand;
    ForEachKey(reader, [&](const std::string& key) {
        if (key == "id") hand.id = reader.ReadInt64();
        else if (key == "side") hand.side = reader.ReadString();
        else if (key == "confidence") hand.confidence = ReadNumber(reader);
        else if (key == "joints") hand.joints = ReadRows(reader, hello, "joints", 3);
        else if (key == "orientations") hand.orientations = ReadRows(reader, hello, "orientations", 4);
        else if (key == "radii") hand.radii = ReadRows(reader, hello, "radii", 1);
        else if (key == "tracked") hand.tracked = ReadFlags(reader);
        else if (key == "covariance_mm2") hand.covariance_mm2 = ReadRows(reader, hello, "covariance_mm2", 6);
        else if (key == "vertices") hand.vertices = ReadRows(reader, hello, "vertices", 3);
        else if (key == "mano") ReadMano(reader, hand);
        else if (key == "reprojection_px") hand.reprojection_px = ReadNumbers(reader);
        else if (key == "view_weight") hand.view_weight = ReadNumbers(reader);
        else if (key == "predicted_ms") hand.predicted_ms = ReadNumber(reader);
        else reader.Skip();
    });
    RequireRows(reader, hand, "orientations", hand.orientations.size() / 4);
    RequireRows(reader, hand, "radii", hand.radii.size());
    RequireRows(reader, hand, "tracked", hand.tracked.size());
    return hand;
}

HandsMessage ReadHands(MsgPackReader& reader, const Hello& hello) {
    HandsMessage message;
    bool has_hands = false;
    bool has_stamps = false;
    ForEachKey(reader, [&](const std::string& key) {
        if (key == "seq") {
            message.sequence = reader.ReadInt64();
        } else if (key == "frame_set") {
            ForEachKey(reader, [&](const std::string& part) {
                if (part == "id") message.frame_set_id = reader.ReadInt64();
                else if (part == "skew_ms") message.skew_ms = ReadNumber(reader);
                else if (part == "views") message.views = ReadStrings(reader);
                else if (part == "masked") message.masked = ReadStrings(reader);
                else if (part == "suspect") message.suspect = ReadStrings(reader);
                else reader.Skip();
            });
        } else if (key == "stamps_ns") {
            has_stamps = true;
            ForEachKey(reader, [&](const std::string& part) {
                if (part == "exposure") message.exposure_ns = reader.ReadInt64();
                else if (part == "received") message.received_ns = reader.ReadInt64();
                else if (part == "solved") message.solved_ns = reader.ReadInt64();
                else if (part == "sent") message.sent_ns = reader.ReadInt64();
                else reader.Skip();
            });
        } else if (key == "calibration_id") {
            message.calibration_id = reader.ReadString();
        } else if (key == "model_id") {
            message.model_id = reader.ReadString();
        } else if (key == "predicted_ms") {
            message.predicted_ms = ReadNumber(reader);
        } else if (key == "state") {
            message.ended = reader.ReadString() == "ended";
        } else if (key == "hands") {
            has_hands = true;
            for (std::size_t left = reader.ReadArrayHeader(); left > 0 && reader.Ok(); --left) {
                message.hands.push_back(ReadHand(reader, hello));
            }
        } else {
            reader.Skip();
        }
    });
    if (!has_hands || !has_stamps) {
        reader.Fail(std::string("the message 'hands' lacks ") + (has_hands ? "stamps_ns" : "hands"));
    }
    return message;
}

Pong ReadPong(MsgPackReader& reader) {
    Pong pong;
    ForEachKey(reader, [&](const std::string& key) {
        if (key == "t" && reader.Next() == PackKind::Integer) pong.t = reader.ReadInt64();
        else if (key == "received_ns") pong.received_ns = reader.ReadInt64();
        else if (key == "sent_ns") pong.sent_ns = reader.ReadInt64();
        else reader.Skip();
    });
    return pong;
}

}  // namespace

bool MessageDecoder::Decode(const std::uint8_t* data, std::size_t size, StreamMessage& message, std::string& error) {
    message = std::monostate();
    MsgPackReader reader(data, size);
    const std::string type = TypeOf(reader, error);
    if (!error.empty()) return false;
    if (type == "hello") message = ReadHello(reader);
    else if (type == "hands") message = ReadHands(reader, hello_);
    else if (type == "pong") message = ReadPong(reader);
    else return true;
    if (!reader.AtEnd()) reader.Fail("bytes follow the end of the message '" + type + "'");
    error = reader.Error();
    if (!error.empty()) {
        message = std::monostate();
        return false;
    }
    if (const Hello* hello = std::get_if<Hello>(&message)) hello_ = *hello;
    return true;
}

}  // namespace usthand
