using System.Collections.Generic;

namespace UstHand
{
    /// <summary>
    /// How far the server's monotonic clock is ahead of <see cref="MonotonicClock"/>: of the last pings, the one with
    /// the shortest way, since its estimate is wrong by half of that at most. Safe to use from several threads.
    /// </summary>
    public sealed class ClockOffset
    {
        struct Ping
        {
            public long OffsetNs;
            public long RoundTripNs;
        }

        readonly object _lock = new object();
        readonly Queue<Ping> _pings = new Queue<Ping>();
        readonly int _window;
        Ping _best;

        /// <param name="window">How many pings count; old ones go, because clocks drift.</param>
        public ClockOffset(int window = 16)
        {
            _window = window;
        }

        /// <summary>Whether any ping was answered.</summary>
        public bool Known
        {
            get
            {
                lock (_lock)
                {
                    return _pings.Count > 0;
                }
            }
        }

        /// <summary>Server minus client; 0 while it is not known.</summary>
        public long OffsetNs
        {
            get
            {
                lock (_lock)
                {
                    return _best.OffsetNs;
                }
            }
        }

        /// <summary>Time that the best ping spent on the way, there and back.</summary>
        public long RoundTripNs
        {
            get
            {
                lock (_lock)
                {
                    return _best.RoundTripNs;
                }
            }
        }

        /// <summary>Takes an answered ping into account, as if both ways took equally long.</summary>
        /// <param name="sentNs">When it left, client clock.</param>
        /// <param name="serverReceivedNs">When it arrived, server clock.</param>
        /// <param name="serverSentNs">When the answer left, server clock.</param>
        /// <param name="receivedNs">When the answer arrived, client clock.</param>
        public void Add(long sentNs, long serverReceivedNs, long serverSentNs, long receivedNs)
        {
            var ping = new Ping
            {
                OffsetNs = ((serverReceivedNs - sentNs) + (serverSentNs - receivedNs)) / 2,
                RoundTripNs = (receivedNs - sentNs) - (serverSentNs - serverReceivedNs),
            };
            lock (_lock)
            {
                _pings.Enqueue(ping);
                if (_pings.Count > _window)
                {
                    _pings.Dequeue();
                }
                _best = ping;
                foreach (Ping other in _pings)
                {
                    if (other.RoundTripNs < _best.RoundTripNs)
                    {
                        _best = other;
                    }
                }
            }
        }

        /// <summary>Forgets all pings: the service may be another one.</summary>
        public void Clear()
        {
            lock (_lock)
            {
                _pings.Clear();
                _best = new Ping();
            }
        }

        /// <summary>Dates an instant of this machine's clock by the server's.</summary>
        public long ToServerNs(long clientNs)
        {
            return clientNs + OffsetNs;
        }

        /// <summary>Dates an instant of the server's clock by this machine's.</summary>
        public long ToClientNs(long serverNs)
        {
            return serverNs - OffsetNs;
        }
    }
}
