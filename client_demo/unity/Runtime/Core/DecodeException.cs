using System;

namespace UstHand
{
    /// <summary>A message that is not what the protocol says; the text names the part and what was found.</summary>
    public sealed class DecodeException : Exception
    {
        public DecodeException(string message) : base(message)
        {
        }
    }
}
