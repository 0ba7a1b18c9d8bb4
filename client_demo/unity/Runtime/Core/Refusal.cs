using System;
using System.IO;
using System.Net;

namespace UstHand
{
    /// <summary>
    /// Finds out why a handshake failed. ClientWebSocket does not say which status the service answered with (Mono's
    /// says nothing at all), so the stream's address is asked once more by plain HTTP: a service that wants a token
    /// says so there.
    /// </summary>
    static class Refusal
    {
        const int TimeoutMs = 3000;
        const int LongestReason = 512;

        /// <summary>Returns the service's refusal; null if it does not refuse, or does not answer.</summary>
        public static RefusedException Of(Uri stream, string token)
        {
            var http = new UriBuilder(stream) { Scheme = stream.Scheme == "wss" ? "https" : "http" };
            var request = (HttpWebRequest)WebRequest.Create(http.Uri);
            request.Timeout = TimeoutMs;
            request.ReadWriteTimeout = TimeoutMs;
            if (!string.IsNullOrEmpty(token))
            {
                request.Headers["Authorization"] = "Bearer " + token;
            }
            try
            {
                using (request.GetResponse())
                {
                    return null;
                }
            }
            catch (WebException error)
            {
                using (var response = error.Response as HttpWebResponse)
                {
                    if (response == null || (response.StatusCode != HttpStatusCode.Unauthorized
                        && response.StatusCode != HttpStatusCode.Forbidden))
                    {
                        return null;
                    }
                    return new RefusedException((int)response.StatusCode, Body(response));
                }
            }
        }

        static string Body(HttpWebResponse response)
        {
            try
            {
                using (var reader = new StreamReader(response.GetResponseStream()))
                {
                    var letters = new char[LongestReason];
                    return new string(letters, 0, reader.ReadBlock(letters, 0, letters.Length));
                }
            }
            catch (IOException)
            {
                return response.StatusDescription;
            }
        }
    }
}
