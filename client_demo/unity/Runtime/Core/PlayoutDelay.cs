using System;

namespace UstHand
{
    /// <summary>
    /// How far behind the server's clock hands are shown so that there is always a message on either side to
    /// interpolate between: the greatest age, among the last messages, that one had when its successor arrived. It
    /// rises at once and falls slowly, so that shown time does not jump about.
    /// </summary>
    public sealed class PlayoutDelay
    {
        const int Window = 64;
        const long FallNs = 500000;
        const long LongestNs = 1000000000;

        readonly object _lock = new object();
        readonly long[] _agesNs = new long[Window];
        readonly long[] _periodsNs = new long[Window];
        int _count;
        long _previousPoseNs;
        bool _hasPrevious;
        long _delayNs;
        long _periodNs;

        /// <summary>The longest time between two of the last messages; 0 until two came.</summary>
        public long PeriodNs
        {
            get
            {
                lock (_lock)
                {
                    return _periodNs;
                }
            }
        }

        /// <summary>0 until two messages came.</summary>
        public long DelayNs
        {
            get
            {
                lock (_lock)
                {
                    return _delayNs;
                }
            }
        }

        /// <summary>Takes a message into account.</summary>
        /// <param name="poseTimeNs">What instant it is for, server clock.</param>
        /// <param name="arrivedNs">When it arrived, server clock.</param>
        public void Add(long poseTimeNs, long arrivedNs)
        {
            lock (_lock)
            {
                if (_hasPrevious && poseTimeNs > _previousPoseNs)
                {
                    _agesNs[_count % Window] = Math.Max(0, Math.Min(arrivedNs - _previousPoseNs, LongestNs));
                    _periodsNs[_count % Window] = Math.Min(poseTimeNs - _previousPoseNs, LongestNs);
                    _count++;
                    _delayNs = Math.Max(Greatest(_agesNs), _delayNs - FallNs);
                    _periodNs = Greatest(_periodsNs);
                }
                _previousPoseNs = poseTimeNs;
                _hasPrevious = true;
            }
        }

        /// <summary>Forgets all: the service may be another one.</summary>
        public void Clear()
        {
            lock (_lock)
            {
                _count = 0;
                _delayNs = 0;
                _periodNs = 0;
                _hasPrevious = false;
            }
        }

        long Greatest(long[] valuesNs)
        {
            long greatestNs = 0;
            for (int i = 0; i < Math.Min(_count, Window); i++)
            {
                greatestNs = Math.Max(greatestNs, valuesNs[i]);
            }
            return greatestNs;
        }
    }
}
