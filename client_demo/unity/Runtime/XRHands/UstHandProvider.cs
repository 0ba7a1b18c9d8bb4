using Unity.Collections;
using UnityEngine;
using UnityEngine.XR.Hands;
using UnityEngine.XR.Hands.ProviderImplementation;

namespace UstHand.XRHands
{
    /// <summary>
    /// Gives XR Hands the hands of a <see cref="HandFeed"/> that speaks the dialect "unity": its 26 joints are
    /// XRHandJointID's in order, metres, left-handed, in the service's world (see the hello's axes). Put that world
    /// where you want it by moving the XROrigin, or a parent of what draws the hands.
    /// </summary>
    public sealed class UstHandProvider : XRHandSubsystemProvider
    {
        public const string Dialect = "unity";

        static readonly int JointCount = XRHandJointID.EndMarker.ToIndex();

        readonly HandSample _left = new HandSample();
        readonly HandSample _right = new HandSample();
        string _wrongDialect = "";

        /// <summary>Where hands come from; without one, none is tracked.</summary>
        public HandFeed Feed { get; set; }

        public override void Start()
        {
        }

        public override void Stop()
        {
        }

        public override void Destroy()
        {
            Feed = null;
        }

        /// <summary>Says that all joints are given: palm and metacarpals are derived from the others.</summary>
        public override void GetHandLayout(NativeArray<bool> handJointsInLayout)
        {
            for (int i = 0; i < JointCount; i++)
            {
                handJointsInLayout[i] = true;
            }
        }

        public override XRHandSubsystem.UpdateSuccessFlags TryUpdateHands(
            XRHandSubsystem.UpdateType updateType,
            ref Pose leftHandRootPose,
            NativeArray<XRHandJoint> leftHandJoints,
            ref Pose rightHandRootPose,
            NativeArray<XRHandJoint> rightHandJoints)
        {
            var updated = XRHandSubsystem.UpdateSuccessFlags.None;
            long timeNs = Feed == null ? 0 : Feed.ShownTimeNs();
            if (timeNs == 0 || !SpeaksUnity())
            {
                return updated;
            }
            Feed.Sample("left", timeNs, _left);
            if (Fill(Handedness.Left, _left, ref leftHandRootPose, leftHandJoints))
            {
                updated |= XRHandSubsystem.UpdateSuccessFlags.LeftHandRootPose
                    | XRHandSubsystem.UpdateSuccessFlags.LeftHandJoints;
            }
            Feed.Sample("right", timeNs, _right);
            if (Fill(Handedness.Right, _right, ref rightHandRootPose, rightHandJoints))
            {
                updated |= XRHandSubsystem.UpdateSuccessFlags.RightHandRootPose
                    | XRHandSubsystem.UpdateSuccessFlags.RightHandJoints;
            }
            return updated;
        }

        static bool Fill(
            Handedness handedness, HandSample hand, ref Pose rootPose, NativeArray<XRHandJoint> joints)
        {
            if (!hand.Seen || hand.JointCount != JointCount)
            {
                return false;
            }
            for (int i = 0; i < JointCount; i++)
            {
                var state = XRHandJointTrackingState.Pose;
                if (hand.Tracked[i])
                {
                    state |= XRHandJointTrackingState.HighFidelityPose;
                }
                if (hand.Radii[i] > 0f)
                {
                    state |= XRHandJointTrackingState.Radius;
                }
                joints[i] = XRHandProviderUtility.CreateJoint(
                    handedness, state, XRHandJointIDUtility.FromIndex(i), PoseOf(hand, i), hand.Radii[i]);
            }
            rootPose = PoseOf(hand, XRHandJointID.Wrist.ToIndex());
            return true;
        }

        static Pose PoseOf(HandSample hand, int joint)
        {
            float[] p = hand.Joints;
            float[] q = hand.Orientations;
            return new Pose(
                new Vector3(p[3 * joint], p[3 * joint + 1], p[3 * joint + 2]),
                new Quaternion(q[4 * joint], q[4 * joint + 1], q[4 * joint + 2], q[4 * joint + 3]));
        }

        bool SpeaksUnity()
        {
            Hello hello = Feed.Client.Hello;
            if (hello == null || hello.Dialect == Dialect)
            {
                return hello != null;
            }
            if (_wrongDialect != hello.Dialect)
            {
                _wrongDialect = hello.Dialect;
                Debug.LogError(
                    "UST-Hand: the stream speaks the dialect '" + hello.Dialect + "'; set StreamOptions.Dialect to '"
                    + Dialect + "'");
            }
            return false;
        }
    }
}
