using System.Diagnostics;

namespace UstHand
{
    /// <summary>This machine's monotonic clock.</summary>
    public static class MonotonicClock
    {
        /// <summary>Nanoseconds since some instant that stays the same while the program runs.</summary>
        public static long NowNs()
        {
            long ticks = Stopwatch.GetTimestamp();
            long seconds = ticks / Stopwatch.Frequency;
            long rest = ticks % Stopwatch.Frequency;
            return seconds * 1000000000L + rest * 1000000000L / Stopwatch.Frequency;
        }
    }
}
