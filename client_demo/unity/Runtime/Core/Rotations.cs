using System;

namespace UstHand
{
    /// <summary>Unit quaternions x, y, z, w inside flat arrays.</summary>
    public static class Rotations
    {
        const double NearlyEqual = 1.0 - 1e-9;

        /// <summary>Goes from one rotation towards another on the shortest arc.</summary>
        /// <param name="from">Holds the first at `at`.</param>
        /// <param name="to">Holds the second there; its negative is the same rotation.</param>
        /// <param name="at">Index of x in all three arrays.</param>
        /// <param name="share">0 gives the first, 1 the second.</param>
        /// <param name="result">Takes the rotation between, a unit quaternion.</param>
        public static void Slerp(float[] from, float[] to, int at, double share, float[] result)
        {
            double dot = 0;
            for (int i = at; i < at + 4; i++)
            {
                dot += (double)from[i] * to[i];
            }
            double sign = dot < 0 ? -1 : 1;
            dot = Math.Min(Math.Abs(dot), 1);
            double ofFrom = 1 - share;
            double ofTo = share;
            if (dot < NearlyEqual)
            {
                double angle = Math.Acos(dot);
                double sine = Math.Sin(angle);
                ofFrom = Math.Sin((1 - share) * angle) / sine;
                ofTo = Math.Sin(share * angle) / sine;
            }
            double x = ofFrom * from[at] + sign * ofTo * to[at];
            double y = ofFrom * from[at + 1] + sign * ofTo * to[at + 1];
            double z = ofFrom * from[at + 2] + sign * ofTo * to[at + 2];
            double w = ofFrom * from[at + 3] + sign * ofTo * to[at + 3];
            double length = Math.Sqrt(x * x + y * y + z * z + w * w);
            result[at] = (float)(x / length);
            result[at + 1] = (float)(y / length);
            result[at + 2] = (float)(z / length);
            result[at + 3] = (float)(w / length);
        }
    }
}
