namespace UstHand
{
    /// <summary>The one message that clients send: {"type": "ping", "t": ...} in msgpack.</summary>
    public static class PingMessage
    {
        /// <summary>Packs a ping whose answer will carry this number.</summary>
        public static byte[] Pack(long t)
        {
            var packed = new byte[]
            {
                0x82, 0xa4, (byte)'t', (byte)'y', (byte)'p', (byte)'e', 0xa4, (byte)'p', (byte)'i', (byte)'n', (byte)'g',
                0xa1, (byte)'t', 0xd3, 0, 0, 0, 0, 0, 0, 0, 0,
            };
            for (int i = 0; i < 8; i++)
            {
                packed[packed.Length - 1 - i] = (byte)(t >> (8 * i));
            }
            return packed;
        }
    }
}
