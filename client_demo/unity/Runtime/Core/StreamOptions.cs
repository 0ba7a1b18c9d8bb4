using System;
using System.Collections.Generic;
using System.Globalization;

namespace UstHand
{
    /// <summary>Where the service is and what is asked of it. The stream is always msgpack here.</summary>
    public sealed class StreamOptions
    {
        public const string StreamPath = "/api/v1/stream";

        /// <summary>Of the service: a ws, wss, http or https address, without a query.</summary>
        public string Address = "ws://127.0.0.1:8000";

        /// <summary>The service's token, sent in a header, never in the address; null or empty for none.</summary>
        public string Token;

        /// <summary>Joints, axes and units.</summary>
        public string Dialect = "unity";

        /// <summary>Parts of a hand, with commas between; null or empty for the service's default.</summary>
        public string Fields = "joints";

        /// <summary>Messages a second at most; 0 for as many as there are.</summary>
        public double MaxHz;

        /// <summary>How far ahead of the exposure the service shall extrapolate, whole milliseconds; 0 for not at all.</summary>
        public double PredictMs;

        /// <summary>
        /// Which axis of the calibration's world points up, such as "-y" or "+z"; null or empty for the service's own
        /// setting.
        /// </summary>
        public string Up;

        /// <summary>Builds the stream's address.</summary>
        /// <exception cref="ArgumentException">If the service's address is none.</exception>
        public Uri StreamUri()
        {
            Uri address;
            if (!Uri.TryCreate(Address, UriKind.Absolute, out address) || address.Host.Length == 0)
            {
                throw new ArgumentException("'" + Address + "' is no address; write for example ws://127.0.0.1:8000");
            }
            if (address.Query.Length > 0 || address.UserInfo.Length > 0)
            {
                throw new ArgumentException("'" + Address + "' has a query or a user; set Token and the other options");
            }
            string scheme;
            switch (address.Scheme)
            {
                case "ws":
                case "http": scheme = "ws"; break;
                case "wss":
                case "https": scheme = "wss"; break;
                default:
                    throw new ArgumentException(
                        "'" + Address + "' has the scheme '" + address.Scheme + "'; use ws, wss, http or https");
            }
            string path = address.AbsolutePath.TrimEnd('/');
            if (!path.EndsWith(StreamPath, StringComparison.Ordinal))
            {
                path += StreamPath;
            }
            return new Uri(scheme + "://" + address.Authority + path + "?" + Query());
        }

        string Query()
        {
            var parts = new List<string> { "format=msgpack", "dialect=" + Uri.EscapeDataString(Dialect ?? "") };
            if (!string.IsNullOrEmpty(Fields))
            {
                parts.Add("fields=" + Uri.EscapeDataString(Fields));
            }
            if (MaxHz != 0)
            {
                parts.Add("max_hz=" + MaxHz.ToString("R", CultureInfo.InvariantCulture));
            }
            if (PredictMs != 0)
            {
                parts.Add("predict_ms=" + PredictMs.ToString("R", CultureInfo.InvariantCulture));
            }
            if (!string.IsNullOrEmpty(Up))
            {
                parts.Add("up=" + Uri.EscapeDataString(Up));
            }
            return string.Join("&", parts.ToArray());
        }
    }
}
