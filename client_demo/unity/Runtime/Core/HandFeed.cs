using System;

namespace UstHand
{
    /// <summary>
    /// What an engine needs of a service: where each hand is now, whenever it asks. Joins a <see cref="StreamClient"/>
    /// with the interpolation between its messages.
    /// </summary>
    public sealed class HandFeed : IDisposable
    {
        /// <summary>
        /// How far behind the server's clock hands are shown, milliseconds; below 0 for as little as the arrival of
        /// messages allows. 0 shows the newest message as it is.
        /// </summary>
        public double DelayMs = -1;

        const long ShortestHoldNs = 100000000;

        readonly HandInterpolator _interpolator;

        public HandFeed(StreamOptions options)
        {
            Client = new StreamClient(options);
            _interpolator = new HandInterpolator(Client.Buffer);
        }

        public StreamClient Client { get; private set; }

        /// <summary>Begins to connect.</summary>
        public void Start()
        {
            Client.Start();
        }

        /// <summary>Ends the connection.</summary>
        public void Stop()
        {
            Client.Stop();
        }

        public void Dispose()
        {
            Client.Dispose();
        }

        /// <summary>Says which instant is shown now, server clock; 0 while there is nothing to show.</summary>
        public long ShownTimeNs()
        {
            HandsMessage newest = Client.Buffer.Newest;
            if (newest == null)
            {
                return 0;
            }
            // A slow service's hands are no staler for the time until its next message.
            long holdNs = Math.Max(ShortestHoldNs, Client.Delay.PeriodNs * 3 / 2);
            _interpolator.HoldNs = holdNs;
            _interpolator.WidestGapNs = holdNs;
            long nowNs = MonotonicClock.NowNs();
            if (DelayMs == 0 || !Client.Clock.Known)
            {
                // How old the newest was on arrival is no reason to hide it; that nothing newer comes is.
                return newest.PoseTimeNs + Math.Max(0, nowNs - Client.LastHandsNs);
            }
            return Client.Clock.ToServerNs(nowNs) - (DelayMs > 0 ? (long)(DelayMs * 1e6) : Client.Delay.DelayNs);
        }

        /// <summary>Samples the hand of a side at an instant from <see cref="ShownTimeNs"/>.</summary>
        /// <param name="side">"left" or "right".</param>
        /// <param name="timeNs">The instant, server clock.</param>
        /// <param name="sample">Takes the answer.</param>
        public void Sample(string side, long timeNs, HandSample sample)
        {
            _interpolator.Sample(side, timeNs, sample);
        }
    }
}
