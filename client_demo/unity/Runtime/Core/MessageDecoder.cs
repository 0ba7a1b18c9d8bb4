using System;
using System.Collections.Generic;

namespace UstHand
{
    /// <summary>
    /// Decodes one stream's msgpack payloads in their order; the hello says how wide the rows of arrays are. Keys that
    /// it does not know are read over, so that a newer service does not break it.
    /// </summary>
    public sealed class MessageDecoder
    {
        public const int ProtocolVersion = 1;

        /// <summary>The newest hello; null before the first.</summary>
        public Hello Hello { get; private set; }

        /// <summary>Decodes a payload; null for a kind of message that this client does not know.</summary>
        /// <exception cref="DecodeException">If the payload is not what the protocol says.</exception>
        public StreamMessage Decode(byte[] data, int offset, int count)
        {
            var reader = new MessagePackReader(data, offset, count);
            string type = TypeOf(reader);
            StreamMessage message;
            switch (type)
            {
                case "hello":
                    Hello = ReadHello(ref reader);
                    message = Hello;
                    break;
                case "hands":
                    message = ReadHands(ref reader);
                    break;
                case "pong":
                    message = ReadPong(ref reader);
                    break;
                default:
                    return null;
            }
            if (!reader.AtEnd)
            {
                throw new DecodeException("bytes follow the end of the message '" + type + "'");
            }
            return message;
        }

        public StreamMessage Decode(byte[] data)
        {
            return Decode(data, 0, data.Length);
        }

        /// <summary>Finds the type; the reader is a copy, so that the caller's stays where it is.</summary>
        static string TypeOf(MessagePackReader reader)
        {
            if (reader.Next != PackKind.Map)
            {
                throw new DecodeException(
                    "a message is a value of kind " + reader.Next + ", not a map; is this the address of the stream?");
            }
            for (int left = reader.ReadMapHeader(); left > 0; left--)
            {
                string key = reader.ReadString();
                if (key == "type")
                {
                    return reader.Next == PackKind.String ? reader.ReadString() : "";
                }
                reader.Skip();
            }
            return "";
        }

        static Hello ReadHello(ref MessagePackReader reader)
        {
            var hello = new Hello();
            for (int left = reader.ReadMapHeader(); left > 0; left--)
            {
                switch (reader.ReadString())
                {
                    case "v": hello.Version = (int)reader.ReadInt64(); break;
                    case "format": hello.Format = reader.ReadString(); break;
                    case "fields": hello.Fields = ReadStrings(ref reader); break;
                    case "dialect": hello.Dialect = reader.ReadString(); break;
                    case "units": hello.Units = reader.ReadString(); break;
                    case "axes": hello.Axes = reader.ReadString(); break;
                    case "joint_names": hello.JointNames = ReadStrings(ref reader); break;
                    case "parents": hello.Parents = ReadIntegers(ref reader); break;
                    case "array_columns": hello.ArrayColumns = ReadColumns(ref reader); break;
                    case "model_id": hello.ModelId = reader.ReadString(); break;
                    case "calibration_id": hello.CalibrationId = reader.ReadString(); break;
                    case "server_ns": hello.ServerNs = reader.ReadInt64(); break;
                    case "up": hello.Up = reader.TryReadNil() ? "" : reader.ReadString(); break;
                    case "predict_ms": hello.PredictMs = ReadNumber(ref reader); break;
                    default: reader.Skip(); break;
                }
            }
            if (hello.Version != ProtocolVersion)
            {
                throw new DecodeException(
                    "the service speaks protocol " + hello.Version + " and this client " + ProtocolVersion
                    + "; take the package of the service's version");
            }
            if (hello.JointNames.Length == 0 || hello.Parents.Length != hello.JointNames.Length)
            {
                throw new DecodeException(
                    "hello has " + hello.JointNames.Length + " joint_names and " + hello.Parents.Length + " parents");
            }
            return hello;
        }

        HandsMessage ReadHands(ref MessagePackReader reader)
        {
            var message = new HandsMessage();
            bool hasHands = false;
            bool hasStamps = false;
            for (int left = reader.ReadMapHeader(); left > 0; left--)
            {
                switch (reader.ReadString())
                {
                    case "seq": message.Sequence = reader.ReadInt64(); break;
                    case "frame_set": ReadFrameSet(ref reader, message); break;
                    case "stamps_ns":
                        ReadStamps(ref reader, message);
                        hasStamps = true;
                        break;
                    case "calibration_id": message.CalibrationId = reader.ReadString(); break;
                    case "model_id": message.ModelId = reader.ReadString(); break;
                    case "predicted_ms": message.PredictedMs = ReadNumber(ref reader); break;
                    case "state": message.Ended = reader.ReadString() == "ended"; break;
                    case "hands":
                        message.Hands = new Hand[reader.ReadArrayHeader()];
                        for (int i = 0; i < message.Hands.Length; i++)
                        {
                            message.Hands[i] = ReadHand(ref reader);
                        }
                        hasHands = true;
                        break;
                    default: reader.Skip(); break;
                }
            }
            if (!hasHands || !hasStamps)
            {
                throw new DecodeException("the message 'hands' lacks " + (hasHands ? "stamps_ns" : "hands"));
            }
            return message;
        }

        static void ReadFrameSet(ref MessagePackReader reader, HandsMessage message)
        {
            for (int left = reader.ReadMapHeader(); left > 0; left--)
            {
                switch (reader.ReadString())
                {
                    case "id": message.FrameSetId = reader.ReadInt64(); break;
                    case "skew_ms": message.SkewMs = ReadNumber(ref reader); break;
                    case "views": message.Views = ReadStrings(ref reader); break;
                    case "masked": message.Masked = ReadStrings(ref reader); break;
                    case "suspect": message.Suspect = ReadStrings(ref reader); break;
                    default: reader.Skip(); break;
                }
            }
        }

        static void ReadStamps(ref MessagePackReader reader, HandsMessage message)
        {
            for (int left = reader.ReadMapHeader(); left > 0; left--)
            {
                switch (reader.ReadString())
                {
                    case "exposure": message.ExposureNs = reader.ReadInt64(); break;
                    case "received": message.ReceivedNs = reader.ReadInt64(); break;
                    case "solved": message.SolvedNs = reader.ReadInt64(); break;
                    case "sent": message.SentNs = reader.ReadInt64(); break;
                    default: reader.Skip(); break;
                }
            }
        }

        Hand ReadHand(ref MessagePackReader reader)
        {
            var hand = new Hand();
            for (int left = reader.ReadMapHeader(); left > 0; left--)
            {
                switch (reader.ReadString())
                {
                    case "id": hand.Id = reader.ReadInt64(); break;
                    case "side": hand.Side = reader.ReadString(); break;
                    case "confidence": hand.Confidence = ReadNumber(ref reader); break;
                    case "joints": hand.Joints = ReadFloats(ref reader, "joints", 3); break;
                    case "orientations": hand.Orientations = ReadFloats(ref reader, "orientations", 4); break;
                    case "radii": hand.Radii = ReadFloats(ref reader, "radii", 1); break;
                    case "tracked": hand.Tracked = ReadFlags(ref reader); break;
                    case "covariance_mm2": hand.CovarianceMm2 = ReadFloats(ref reader, "covariance_mm2", 6); break;
                    case "vertices": hand.Vertices = ReadFloats(ref reader, "vertices", 3); break;
                    case "mano": ReadMano(ref reader, hand); break;
                    case "reprojection_px": hand.ReprojectionPx = ReadNumbers(ref reader); break;
                    case "view_weight": hand.ViewWeight = ReadNumbers(ref reader); break;
                    case "predicted_ms": hand.PredictedMs = ReadNumber(ref reader); break;
                    default: reader.Skip(); break;
                }
            }
            RequireCount(hand.Joints, hand.Orientations, 4, "orientations");
            RequireCount(hand.Joints, hand.Radii, 1, "radii");
            if (hand.Joints != null && hand.Tracked != null && hand.Tracked.Length != hand.JointCount)
            {
                throw new DecodeException(
                    "tracked has " + hand.Tracked.Length + " flags for " + hand.JointCount + " joints");
            }
            return hand;
        }

        static void RequireCount(float[] joints, float[] other, int columns, string name)
        {
            if (joints != null && other != null && other.Length / columns != joints.Length / 3)
            {
                throw new DecodeException(
                    name + " has " + other.Length / columns + " rows for " + joints.Length / 3 + " joints");
            }
        }

        static void ReadMano(ref MessagePackReader reader, Hand hand)
        {
            if (reader.TryReadNil())
            {
                return;
            }
            for (int left = reader.ReadMapHeader(); left > 0; left--)
            {
                switch (reader.ReadString())
                {
                    case "pose": hand.ManoPose = Floats(reader.ReadBinary(), "pose", 1); break;
                    case "shape": hand.ManoShape = Floats(reader.ReadBinary(), "shape", 1); break;
                    case "translation": hand.ManoTranslation = Floats(reader.ReadBinary(), "translation", 1); break;
                    default: reader.Skip(); break;
                }
            }
        }

        static Pong ReadPong(ref MessagePackReader reader)
        {
            var pong = new Pong();
            for (int left = reader.ReadMapHeader(); left > 0; left--)
            {
                switch (reader.ReadString())
                {
                    case "t":
                        if (reader.Next == PackKind.Integer)
                        {
                            pong.T = reader.ReadInt64();
                        }
                        else
                        {
                            reader.Skip();
                        }
                        break;
                    case "received_ns": pong.ReceivedNs = reader.ReadInt64(); break;
                    case "sent_ns": pong.SentNs = reader.ReadInt64(); break;
                    default: reader.Skip(); break;
                }
            }
            return pong;
        }

        float[] ReadFloats(ref MessagePackReader reader, string name, int expected)
        {
            if (reader.TryReadNil())
            {
                return null;
            }
            int columns;
            if (Hello == null || !Hello.ArrayColumns.TryGetValue(name, out columns))
            {
                columns = expected;
            }
            if (columns != expected)
            {
                throw new DecodeException(
                    "hello says that " + name + " has " + columns + " numbers a row, and this client reads " + expected);
            }
            return Floats(reader.ReadBinary(), name, columns);
        }

        static float[] Floats(ArraySegment<byte> bytes, string name, int columns)
        {
            if (bytes.Count % (4 * columns) != 0)
            {
                throw new DecodeException(
                    name + " has " + bytes.Count + " bytes, not a multiple of the " + 4 * columns + " of a row");
            }
            var floats = new float[bytes.Count / 4];
            if (BitConverter.IsLittleEndian)
            {
                Buffer.BlockCopy(bytes.Array, bytes.Offset, floats, 0, bytes.Count);
                return floats;
            }
            var four = new byte[4];
            for (int i = 0; i < floats.Length; i++)
            {
                for (int b = 0; b < 4; b++)
                {
                    four[3 - b] = bytes.Array[bytes.Offset + 4 * i + b];
                }
                floats[i] = BitConverter.ToSingle(four, 0);
            }
            return floats;
        }

        static bool[] ReadFlags(ref MessagePackReader reader)
        {
            if (reader.TryReadNil())
            {
                return null;
            }
            if (reader.Next == PackKind.Binary)
            {
                ArraySegment<byte> bytes = reader.ReadBinary();
                var unpacked = new bool[bytes.Count];
                for (int i = 0; i < unpacked.Length; i++)
                {
                    unpacked[i] = bytes.Array[bytes.Offset + i] != 0;
                }
                return unpacked;
            }
            var flags = new bool[reader.ReadArrayHeader()];
            for (int i = 0; i < flags.Length; i++)
            {
                flags[i] = reader.ReadBool();
            }
            return flags;
        }

        static double ReadNumber(ref MessagePackReader reader)
        {
            return reader.TryReadNil() ? 0.0 : reader.ReadDouble();
        }

        static Dictionary<string, double> ReadNumbers(ref MessagePackReader reader)
        {
            var numbers = new Dictionary<string, double>();
            if (reader.TryReadNil())
            {
                return numbers;
            }
            for (int left = reader.ReadMapHeader(); left > 0; left--)
            {
                string key = reader.ReadString();
                numbers[key] = reader.TryReadNil() ? double.NaN : reader.ReadDouble();
            }
            return numbers;
        }

        static Dictionary<string, int> ReadColumns(ref MessagePackReader reader)
        {
            var columns = new Dictionary<string, int>();
            for (int left = reader.ReadMapHeader(); left > 0; left--)
            {
                string key = reader.ReadString();
                columns[key] = (int)reader.ReadInt64();
            }
            return columns;
        }

        static string[] ReadStrings(ref MessagePackReader reader)
        {
            var strings = new string[reader.ReadArrayHeader()];
            for (int i = 0; i < strings.Length; i++)
            {
                strings[i] = reader.ReadString();
            }
            return strings;
        }

        static int[] ReadIntegers(ref MessagePackReader reader)
        {
            var integers = new int[reader.ReadArrayHeader()];
            for (int i = 0; i < integers.Length; i++)
            {
                integers[i] = (int)reader.ReadInt64();
            }
            return integers;
        }
    }
}
