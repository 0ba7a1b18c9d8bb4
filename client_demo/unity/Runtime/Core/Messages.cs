using System;
using System.Collections.Generic;

namespace UstHand
{
    // Positions are in the units and axes that the hello says (for the dialect "unity": metres, left-handed, +Y up);
    // quaternions are x, y, z, w; covariances are square millimetres; times are nanoseconds of the server's monotonic
    // clock. Arrays are flat, in row order. What was not asked for is null or empty.

    /// <summary>A message of the stream.</summary>
    public abstract class StreamMessage
    {
    }

    /// <summary>How the messages that follow are to be read.</summary>
    public sealed class Hello : StreamMessage
    {
        public int Version;
        public string Format = "";
        public string[] Fields = new string[0];
        public string Dialect = "";
        public string Units = "";
        public string Axes = "";

        /// <summary>One name a joint, in the order of all joint arrays.</summary>
        public string[] JointNames = new string[0];

        /// <summary>Index of each joint's parent; -1 for the root.</summary>
        public int[] Parents = new int[0];

        /// <summary>Numbers a row in each two-dimensional array.</summary>
        public Dictionary<string, int> ArrayColumns = new Dictionary<string, int>();

        public string ModelId = "";
        public string CalibrationId = "";
        public long ServerNs;

        /// <summary>Which axis of the calibration's world the dialect takes for up; empty if it takes none.</summary>
        public string Up = "";

        /// <summary>How far ahead of the exposure hands will be extrapolated.</summary>
        public double PredictMs;
    }

    /// <summary>The hands of one frame set; none when none is seen.</summary>
    public sealed class HandsMessage : StreamMessage
    {
        /// <summary>Counts the service's answers; a gap is answers that this client did not get.</summary>
        public long Sequence;

        public long FrameSetId;
        public double SkewMs;
        public string[] Views = new string[0];

        /// <summary>Cameras that were left out, because their calibration no longer fits.</summary>
        public string[] Masked = new string[0];

        /// <summary>Cameras in use although one of them no longer fits: the hands may be wrong.</summary>
        public string[] Suspect = new string[0];

        public long ExposureNs;
        public long ReceivedNs;
        public long SolvedNs;
        public long SentNs;
        public string CalibrationId = "";
        public string ModelId = "";

        /// <summary>How far ahead of the exposure hands were asked for; see <see cref="Hand.PredictedMs"/>.</summary>
        public double PredictedMs;

        /// <summary>Whether the footage is over: there are no hands, and no message will follow.</summary>
        public bool Ended;

        public Hand[] Hands = new Hand[0];

        /// <summary>The instant that the message is for, server clock.</summary>
        public long PoseTimeNs
        {
            get { return ExposureNs + (long)Math.Round(PredictedMs * 1e6); }
        }
    }

    /// <summary>One hand.</summary>
    public sealed class Hand
    {
        /// <summary>Stays the same while the hand is tracked.</summary>
        public long Id;

        /// <summary>"left" or "right".</summary>
        public string Side = "";

        /// <summary>In [0, 1].</summary>
        public double Confidence;

        /// <summary>Positions, 3 a joint.</summary>
        public float[] Joints;

        /// <summary>Global rotations, x, y, z, w, 4 a joint.</summary>
        public float[] Orientations;

        /// <summary>Radius of each joint, in the dialect's unit of length.</summary>
        public float[] Radii;

        /// <summary>Which joints a view saw in this frame set; the others come from the hand model.</summary>
        public bool[] Tracked;

        /// <summary>xx, xy, xz, yy, yz, zz of each joint's position, square millimetres.</summary>
        public float[] CovarianceMm2;

        /// <summary>The mesh, 3 a vertex.</summary>
        public float[] Vertices;

        public float[] ManoPose;
        public float[] ManoShape;
        public float[] ManoTranslation;

        /// <summary>By camera: how far its own 2D joints lie from this hand.</summary>
        public Dictionary<string, double> ReprojectionPx = new Dictionary<string, double>();

        /// <summary>By camera: how far it was believed, in [0, 1].</summary>
        public Dictionary<string, double> ViewWeight = new Dictionary<string, double>();

        /// <summary>How far ahead of the exposure this hand was extrapolated; 0 for a track too young for it.</summary>
        public double PredictedMs;

        public int JointCount
        {
            get { return Joints == null ? 0 : Joints.Length / 3; }
        }
    }

    /// <summary>The answer to a ping.</summary>
    public sealed class Pong : StreamMessage
    {
        /// <summary>What the ping said; 0 where it said no integer.</summary>
        public long T;

        public long ReceivedNs;
        public long SentNs;
    }
}
