using System;

namespace UstHand
{
    /// <summary>
    /// The newest messages, in the order of the instants that their poses are of. Full means that the oldest goes.
    /// One thread adds, another reads.
    /// </summary>
    public sealed class MessageBuffer
    {
        readonly object _lock = new object();
        readonly HandsMessage[] _ring;
        int _first;
        int _count;

        /// <param name="capacity">How many messages are kept: enough to span the interpolation delay.</param>
        public MessageBuffer(int capacity = 32)
        {
            if (capacity < 2)
            {
                throw new ArgumentException("capacity is " + capacity + "; interpolating needs at least 2 messages");
            }
            _ring = new HandsMessage[capacity];
        }

        /// <summary>Messages that came with a time before that of one already here; the buffer began anew with them.</summary>
        public int Restarts { get; private set; }

        public int Count
        {
            get
            {
                lock (_lock)
                {
                    return _count;
                }
            }
        }

        /// <summary>The newest message; null while there is none.</summary>
        public HandsMessage Newest
        {
            get
            {
                lock (_lock)
                {
                    return _count == 0 ? null : At(_count - 1);
                }
            }
        }

        public void Add(HandsMessage message)
        {
            lock (_lock)
            {
                if (_count > 0 && message.PoseTimeNs <= At(_count - 1).PoseTimeNs)
                {
                    // Time went back: another service, or a recording that began again.
                    Restarts++;
                    Empty();
                }
                if (_count == _ring.Length)
                {
                    _ring[_first] = null;
                    _first = (_first + 1) % _ring.Length;
                    _count--;
                }
                _ring[(_first + _count) % _ring.Length] = message;
                _count++;
            }
        }

        public void Clear()
        {
            lock (_lock)
            {
                Empty();
            }
        }

        /// <summary>Finds the messages around an instant.</summary>
        /// <param name="timeNs">The instant, server clock.</param>
        /// <param name="before">The last at or before it; null if there is none.</param>
        /// <param name="after">The first after it; null if there is none.</param>
        public void Around(long timeNs, out HandsMessage before, out HandsMessage after)
        {
            lock (_lock)
            {
                before = null;
                after = null;
                for (int i = _count - 1; i >= 0; i--)
                {
                    HandsMessage message = At(i);
                    if (message.PoseTimeNs <= timeNs)
                    {
                        before = message;
                        return;
                    }
                    after = message;
                }
            }
        }

        HandsMessage At(int index)
        {
            return _ring[(_first + index) % _ring.Length];
        }

        void Empty()
        {
            Array.Clear(_ring, 0, _ring.Length);
            _first = 0;
            _count = 0;
        }
    }
}
