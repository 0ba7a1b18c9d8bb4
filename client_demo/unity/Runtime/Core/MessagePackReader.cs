using System;
using System.Text;

namespace UstHand
{
    /// <summary>The kinds of values that msgpack has, as far as a reader has to tell them apart.</summary>
    public enum PackKind
    {
        Nil,
        Bool,
        Integer,
        Float,
        String,
        Binary,
        Array,
        Map,
        Extension,
    }

    /// <summary>
    /// Reads msgpack from front to back, without building objects. Whoever reads says what is expected, and gets a
    /// <see cref="DecodeException"/> where something else is there or the bytes end.
    /// </summary>
    public struct MessagePackReader
    {
        const int DeepestSkip = 64;

        readonly byte[] _data;
        readonly int _end;
        int _at;

        public MessagePackReader(byte[] data, int offset, int count)
        {
            if (data == null || offset < 0 || count < 0 || offset > data.Length - count)
            {
                throw new ArgumentException("the part lies outside the bytes that hold it");
            }
            _data = data;
            _at = offset;
            _end = offset + count;
        }

        /// <summary>Whether all bytes were read.</summary>
        public bool AtEnd
        {
            get { return _at == _end; }
        }

        /// <summary>What comes next.</summary>
        public PackKind Next
        {
            get { return KindOf(Peek()); }
        }

        /// <summary>Reads a nil if one comes next.</summary>
        public bool TryReadNil()
        {
            if (Peek() != 0xc0)
            {
                return false;
            }
            _at++;
            return true;
        }

        public bool ReadBool()
        {
            byte code = Take();
            if (code != 0xc2 && code != 0xc3)
            {
                throw Unexpected(code, "a boolean");
            }
            return code == 0xc3;
        }

        /// <summary>Reads any integer that fits into 64 bits with a sign.</summary>
        public long ReadInt64()
        {
            byte code = Take();
            if (code <= 0x7f)
            {
                return code;
            }
            if (code >= 0xe0)
            {
                return (sbyte)code;
            }
            switch (code)
            {
                case 0xcc: return (long)BigEndian(1);
                case 0xcd: return (long)BigEndian(2);
                case 0xce: return (long)BigEndian(4);
                case 0xcf:
                    ulong value = BigEndian(8);
                    if (value > long.MaxValue)
                    {
                        throw new DecodeException("the integer " + value + " is too large for 64 bits with a sign");
                    }
                    return (long)value;
                case 0xd0: return (sbyte)BigEndian(1);
                case 0xd1: return (short)BigEndian(2);
                case 0xd2: return (int)BigEndian(4);
                case 0xd3: return (long)BigEndian(8);
                default: throw Unexpected(code, "an integer");
            }
        }

        /// <summary>Reads any number.</summary>
        public double ReadDouble()
        {
            byte code = Peek();
            if (code == 0xca)
            {
                _at++;
                return BitConverter.ToSingle(BitConverter.GetBytes((uint)BigEndian(4)), 0);
            }
            if (code == 0xcb)
            {
                _at++;
                return BitConverter.Int64BitsToDouble((long)BigEndian(8));
            }
            if (code == 0xcf)
            {
                _at++;
                return BigEndian(8);
            }
            return ReadInt64();
        }

        public string ReadString()
        {
            byte code = Take();
            int length;
            if (code >= 0xa0 && code <= 0xbf)
            {
                length = code & 0x1f;
            }
            else
            {
                switch (code)
                {
                    case 0xd9: length = Length(1); break;
                    case 0xda: length = Length(2); break;
                    case 0xdb: length = Length(4); break;
                    default: throw Unexpected(code, "a string");
                }
            }
            int start = Advance(length);
            return Encoding.UTF8.GetString(_data, start, length);
        }

        /// <summary>Reads bytes, without copying them.</summary>
        public ArraySegment<byte> ReadBinary()
        {
            byte code = Take();
            int length;
            switch (code)
            {
                case 0xc4: length = Length(1); break;
                case 0xc5: length = Length(2); break;
                case 0xc6: length = Length(4); break;
                default: throw Unexpected(code, "bytes");
            }
            return new ArraySegment<byte>(_data, Advance(length), length);
        }

        /// <summary>Reads the head of an array and returns how many values follow.</summary>
        public int ReadArrayHeader()
        {
            byte code = Take();
            if (code >= 0x90 && code <= 0x9f)
            {
                return code & 0x0f;
            }
            switch (code)
            {
                case 0xdc: return Count(Length(2), 1);
                case 0xdd: return Count(Length(4), 1);
                default: throw Unexpected(code, "an array");
            }
        }

        /// <summary>Reads the head of a map and returns how many pairs follow.</summary>
        public int ReadMapHeader()
        {
            byte code = Take();
            if (code >= 0x80 && code <= 0x8f)
            {
                return code & 0x0f;
            }
            switch (code)
            {
                case 0xde: return Count(Length(2), 2);
                case 0xdf: return Count(Length(4), 2);
                default: throw Unexpected(code, "a map");
            }
        }

        /// <summary>Reads over one value, whatever it is.</summary>
        public void Skip()
        {
            Skip(0);
        }

        void Skip(int depth)
        {
            if (depth > DeepestSkip)
            {
                throw new DecodeException("values are nested deeper than " + DeepestSkip);
            }
            byte code = Peek();
            switch (KindOf(code))
            {
                case PackKind.Nil:
                case PackKind.Bool:
                    _at++;
                    break;
                case PackKind.Integer:
                case PackKind.Float:
                    ReadDouble();
                    break;
                case PackKind.String:
                    ReadString();
                    break;
                case PackKind.Binary:
                    ReadBinary();
                    break;
                case PackKind.Array:
                    for (int left = ReadArrayHeader(); left > 0; left--)
                    {
                        Skip(depth + 1);
                    }
                    break;
                case PackKind.Map:
                    for (int left = ReadMapHeader(); left > 0; left--)
                    {
                        Skip(depth + 1);
                        Skip(depth + 1);
                    }
                    break;
                default:
                    SkipExtension(code);
                    break;
            }
        }

        void SkipExtension(byte code)
        {
            _at++;
            int length;
            switch (code)
            {
                case 0xc7: length = Length(1); break;
                case 0xc8: length = Length(2); break;
                case 0xc9: length = Length(4); break;
                case 0xd4: length = 1; break;
                case 0xd5: length = 2; break;
                case 0xd6: length = 4; break;
                case 0xd7: length = 8; break;
                case 0xd8: length = 16; break;
                default: throw Unexpected(code, "a value");
            }
            Advance(1);
            Advance(length);
        }

        static PackKind KindOf(byte code)
        {
            if (code <= 0x7f || code >= 0xe0)
            {
                return PackKind.Integer;
            }
            if (code <= 0x8f)
            {
                return PackKind.Map;
            }
            if (code <= 0x9f)
            {
                return PackKind.Array;
            }
            if (code <= 0xbf)
            {
                return PackKind.String;
            }
            switch (code)
            {
                case 0xc0: return PackKind.Nil;
                case 0xc2:
                case 0xc3: return PackKind.Bool;
                case 0xc4:
                case 0xc5:
                case 0xc6: return PackKind.Binary;
                case 0xca:
                case 0xcb: return PackKind.Float;
                case 0xd9:
                case 0xda:
                case 0xdb: return PackKind.String;
                case 0xdc:
                case 0xdd: return PackKind.Array;
                case 0xde:
                case 0xdf: return PackKind.Map;
                default: return code >= 0xcc && code <= 0xd3 ? PackKind.Integer : PackKind.Extension;
            }
        }

        byte Peek()
        {
            if (_at >= _end)
            {
                throw new DecodeException("the message ends where a value was expected");
            }
            return _data[_at];
        }

        byte Take()
        {
            byte code = Peek();
            _at++;
            return code;
        }

        ulong BigEndian(int bytes)
        {
            int start = Advance(bytes);
            ulong value = 0;
            for (int i = 0; i < bytes; i++)
            {
                value = (value << 8) | _data[start + i];
            }
            return value;
        }

        int Length(int bytes)
        {
            ulong value = BigEndian(bytes);
            if (value > (ulong)(_end - _at))
            {
                throw new DecodeException("a value of length " + value + " does not fit into the rest of the message");
            }
            return (int)value;
        }

        /// <summary>Checks that so many values can be there, so that a lie costs no memory.</summary>
        int Count(int count, int valuesEach)
        {
            if ((long)count * valuesEach > _end - _at)
            {
                throw new DecodeException(count + " entries do not fit into the rest of the message");
            }
            return count;
        }

        int Advance(int bytes)
        {
            if (bytes > _end - _at)
            {
                throw new DecodeException("the message ends within a value");
            }
            int start = _at;
            _at += bytes;
            return start;
        }

        DecodeException Unexpected(byte code, string expected)
        {
            return new DecodeException(
                "at byte " + (_at - 1) + " is a value of kind " + KindOf(code) + ", not " + expected);
        }
    }
}
