using System;

namespace UstHand
{
    /// <summary>One hand at one instant. Its arrays are kept between samples, so that sampling makes no garbage.</summary>
    public sealed class HandSample
    {
        /// <summary>Whether there is a hand; without one, all else here is meaningless.</summary>
        public bool Seen { get; internal set; }

        /// <summary>Stays the same while the hand is tracked.</summary>
        public long Id { get; internal set; }

        public double Confidence { get; internal set; }

        public int JointCount { get; private set; }

        /// <summary>Positions, 3 a joint.</summary>
        public float[] Joints { get; private set; }

        /// <summary>Rotations, x, y, z, w, 4 a joint.</summary>
        public float[] Orientations { get; private set; }

        /// <summary>Radius of each joint; 0 where the service gives none.</summary>
        public float[] Radii { get; private set; }

        /// <summary>Which joints a view saw; all, where the service does not say.</summary>
        public bool[] Tracked { get; private set; }

        public HandSample()
        {
            Resize(0);
        }

        internal void Resize(int joints)
        {
            if (Joints != null && JointCount == joints)
            {
                return;
            }
            JointCount = joints;
            Joints = new float[3 * joints];
            Orientations = new float[4 * joints];
            Radii = new float[joints];
            Tracked = new bool[joints];
        }

        /// <summary>Takes all but the pose of a hand.</summary>
        internal void TakeFrom(Hand hand)
        {
            Resize(hand.JointCount);
            Seen = true;
            Id = hand.Id;
            Confidence = hand.Confidence;
            for (int joint = 0; joint < JointCount; joint++)
            {
                Tracked[joint] = hand.Tracked == null || hand.Tracked[joint];
                Radii[joint] = hand.Radii == null ? 0f : hand.Radii[joint];
            }
        }

        internal void TakePose(Hand hand)
        {
            Array.Copy(hand.Joints, Joints, Joints.Length);
            Array.Copy(hand.Orientations, Orientations, Orientations.Length);
        }
    }
}
