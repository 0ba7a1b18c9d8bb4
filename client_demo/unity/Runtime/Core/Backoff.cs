using System;

namespace UstHand
{
    /// <summary>How long to wait between tries to connect: ever longer up to a cap, and never all clients at once.</summary>
    public sealed class Backoff
    {
        readonly double _firstS;
        readonly double _factor;
        readonly double _capS;
        readonly double _jitter;
        readonly Random _random;
        double _longestS;

        /// <param name="firstS">The longest that the first wait may be.</param>
        /// <param name="factor">How much longer each further wait may be than the one before.</param>
        /// <param name="capS">The longest that any wait may be.</param>
        /// <param name="jitter">Share of each wait that is drawn by chance, in [0, 1].</param>
        /// <param name="random">What draws it.</param>
        public Backoff(
            double firstS = 0.25, double factor = 2.0, double capS = 10.0, double jitter = 0.5, Random random = null)
        {
            if (!(firstS > 0) || firstS > capS || factor < 1 || !(jitter >= 0 && jitter <= 1))
            {
                throw new ArgumentException(
                    "backoff needs 0 < firstS <= capS, factor >= 1 and jitter in [0, 1], not "
                    + firstS + ", " + capS + ", " + factor + " and " + jitter);
            }
            _firstS = firstS;
            _factor = factor;
            _capS = capS;
            _jitter = jitter;
            _random = random ?? new Random();
            _longestS = firstS;
        }

        /// <summary>Returns the next wait.</summary>
        public double NextDelayS()
        {
            double delayS = _longestS * (1 - _jitter * _random.NextDouble());
            _longestS = Math.Min(_longestS * _factor, _capS);
            return delayS;
        }

        /// <summary>Begins anew, after a success.</summary>
        public void Reset()
        {
            _longestS = _firstS;
        }
    }
}
