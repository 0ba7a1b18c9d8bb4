using System;
using System.Collections.Generic;
using System.IO;

namespace UstHand
{
    /// <summary>
    /// A stream as it came. A file is 8 bytes "USTHPKT1", then packets: int64 when it came (ns, this machine's clock),
    /// uint8 kind (1 text, 2 binary), uint32 length, payload; all little-endian.
    /// </summary>
    public static class PacketFile
    {
        const string Magic = "USTHPKT1";
        const byte Binary = 2;

        /// <summary>Reads the binary payloads of a file, in their order.</summary>
        /// <exception cref="DecodeException">If it is no packet file, or ends within a packet.</exception>
        public static IEnumerable<byte[]> Read(string path)
        {
            using (var reader = new BinaryReader(File.OpenRead(path)))
            {
                foreach (char letter in Magic)
                {
                    if (reader.BaseStream.Position == reader.BaseStream.Length || reader.ReadByte() != letter)
                    {
                        throw new DecodeException(path + " does not begin with " + Magic + "; is it a packet file?");
                    }
                }
                while (reader.BaseStream.Position < reader.BaseStream.Length)
                {
                    byte kind;
                    byte[] payload = ReadPacket(reader, path, out kind);
                    if (kind == Binary)
                    {
                        yield return payload;
                    }
                }
            }
        }

        /// <summary>Begins a file.</summary>
        public static BinaryWriter Create(string path)
        {
            var writer = new BinaryWriter(File.Create(path));
            foreach (char letter in Magic)
            {
                writer.Write((byte)letter);
            }
            return writer;
        }

        /// <summary>Appends a binary payload to a file that <see cref="Create"/> began.</summary>
        public static void Append(BinaryWriter writer, long receivedNs, byte[] data, int count)
        {
            writer.Write(receivedNs);
            writer.Write(Binary);
            writer.Write((uint)count);
            writer.Write(data, 0, count);
        }

        static byte[] ReadPacket(BinaryReader reader, string path, out byte kind)
        {
            long at = reader.BaseStream.Position;
            try
            {
                reader.ReadInt64();
                kind = reader.ReadByte();
                uint length = reader.ReadUInt32();
                if (length > reader.BaseStream.Length - reader.BaseStream.Position)
                {
                    throw new DecodeException(path + " ends within the packet at byte " + at);
                }
                return reader.ReadBytes((int)length);
            }
            catch (EndOfStreamException)
            {
                throw new DecodeException(path + " ends within the head of the packet at byte " + at);
            }
        }
    }
}
