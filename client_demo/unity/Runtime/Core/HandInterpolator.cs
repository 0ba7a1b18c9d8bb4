using System;

namespace UstHand
{
    /// <summary>
    /// Says where a hand is at an instant between two messages: positions on the straight line, rotations on the
    /// shortest arc. Nothing is extrapolated (ask the service for predict_ms instead), and nothing stale is shown: a
    /// hand that a message no longer has is gone from that message's instant on, and without messages it is gone
    /// after <see cref="HoldNs"/>.
    /// </summary>
    public sealed class HandInterpolator
    {
        /// <summary>How long a hand stays where it was while no newer message comes.</summary>
        public long HoldNs = 100000000;

        /// <summary>Messages further apart than this are not joined by a line.</summary>
        public long WidestGapNs = 250000000;

        readonly MessageBuffer _buffer;

        public HandInterpolator(MessageBuffer buffer)
        {
            _buffer = buffer;
        }

        /// <summary>Samples the most confident hand of a side.</summary>
        /// <param name="side">"left" or "right".</param>
        /// <param name="timeNs">The instant, server clock.</param>
        /// <param name="sample">Takes the answer.</param>
        public void Sample(string side, long timeNs, HandSample sample)
        {
            HandsMessage before;
            HandsMessage after;
            _buffer.Around(timeNs, out before, out after);
            sample.Seen = false;
            Hand from = before == null ? null : BestOf(before, side);
            if (from == null)
            {
                return;
            }
            Hand to = after == null || after.PoseTimeNs - before.PoseTimeNs > WidestGapNs ? null : Find(after, from.Id);
            if (to != null && to.JointCount == from.JointCount)
            {
                sample.TakeFrom(from);
                double share = (timeNs - before.PoseTimeNs) / (double)(after.PoseTimeNs - before.PoseTimeNs);
                Blend(from, to, share, sample);
            }
            else if (timeNs - before.PoseTimeNs <= HoldNs)
            {
                sample.TakeFrom(from);
                sample.TakePose(from);
            }
        }

        static Hand BestOf(HandsMessage message, string side)
        {
            Hand best = null;
            foreach (Hand hand in message.Hands)
            {
                if (hand.Side == side && hand.Joints != null && hand.Orientations != null
                    && (best == null || hand.Confidence > best.Confidence))
                {
                    best = hand;
                }
            }
            return best;
        }

        static Hand Find(HandsMessage message, long id)
        {
            foreach (Hand hand in message.Hands)
            {
                if (hand.Id == id && hand.Joints != null && hand.Orientations != null)
                {
                    return hand;
                }
            }
            return null;
        }

        static void Blend(Hand from, Hand to, double share, HandSample sample)
        {
            for (int i = 0; i < sample.Joints.Length; i++)
            {
                sample.Joints[i] = (float)(from.Joints[i] + share * ((double)to.Joints[i] - from.Joints[i]));
            }
            for (int joint = 0; joint < sample.JointCount; joint++)
            {
                Rotations.Slerp(from.Orientations, to.Orientations, 4 * joint, share, sample.Orientations);
            }
        }
    }
}
