using System;

namespace UstHand
{
    /// <summary>The service said no, and would say it again: no further try is made.</summary>
    public sealed class RefusedException : Exception
    {
        /// <param name="code">WebSocket close code, or the HTTP status where the stream was not even opened.</param>
        /// <param name="reason">The service's own words.</param>
        public RefusedException(int code, string reason)
            : base("the service refused the stream with code " + code + ": "
                + (string.IsNullOrEmpty(reason) ? "no reason given" : reason))
        {
            Code = code;
            Reason = reason ?? "";
        }

        public int Code { get; private set; }

        public string Reason { get; private set; }
    }
}
