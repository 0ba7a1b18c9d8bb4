using System;
using System.Collections.Generic;
using UnityEngine;
using UnityEngine.XR.Hands;
using UstHand.XRHands;

namespace UstHand.Samples
{
    /// <summary>
    /// Drives the bones of a skinned hand whose bones are named like XR Hands' joints, with or without a prefix such as
    /// "L_" (the hand models of the XR Hands package are such ones). Bones follow their joint's rotation; the wrist
    /// follows its place too, and so do the others if `stretch` is set, which makes the model the user's hand in
    /// size. XR Hands' own XRHandSkeletonDriver does the same from XRHandTrackingEvents, and works with this provider.
    /// </summary>
    public sealed class SkinnedHand : MonoBehaviour
    {
        public UstHandTracking tracking;
        public Handedness handedness = Handedness.Right;

        [Tooltip("The bone that holds the others.")]
        public Transform rootBone;

        [Tooltip("Whether bones take their joint's place, not only its rotation.")]
        public bool stretch = true;

        Transform[] _bones;
        Renderer[] _renderers;

        void Start()
        {
            _renderers = GetComponentsInChildren<Renderer>();
            _bones = FindBones(rootBone == null ? transform : rootBone);
            if (_bones[XRHandJointID.Wrist.ToIndex()] == null)
            {
                Debug.LogError("UST-Hand: no bone under '" + name + "' is named like the wrist; set rootBone", this);
                enabled = false;
            }
        }

        void LateUpdate()
        {
            XRHandSubsystem subsystem = tracking == null ? null : tracking.Subsystem;
            XRHand hand = default(XRHand);
            if (subsystem != null)
            {
                hand = handedness == Handedness.Left ? subsystem.leftHand : subsystem.rightHand;
            }
            bool shown = subsystem != null && hand.isTracked;
            foreach (Renderer each in _renderers)
            {
                each.enabled = shown;
            }
            if (shown)
            {
                Follow(hand);
            }
        }

        void Follow(XRHand hand)
        {
            Transform world = tracking.transform;
            // Indices rise from the wrist outwards, so that parents are placed before their children.
            for (int i = 0; i < _bones.Length; i++)
            {
                Pose pose;
                XRHandJointID id = XRHandJointIDUtility.FromIndex(i);
                if (_bones[i] == null || !hand.GetJoint(id).TryGetPose(out pose))
                {
                    continue;
                }
                _bones[i].rotation = world.rotation * pose.rotation;
                if (stretch || id == XRHandJointID.Wrist)
                {
                    _bones[i].position = world.TransformPoint(pose.position);
                }
            }
        }

        static Transform[] FindBones(Transform root)
        {
            var bones = new Transform[XRHandJointID.EndMarker.ToIndex()];
            var left = new Stack<Transform>();
            left.Push(root);
            while (left.Count > 0)
            {
                Transform bone = left.Pop();
                for (int i = 0; i < bones.Length; i++)
                {
                    if (bone.name.EndsWith(XRHandJointIDUtility.FromIndex(i).ToString(), StringComparison.OrdinalIgnoreCase))
                    {
                        bones[i] = bone;
                    }
                }
                for (int child = 0; child < bone.childCount; child++)
                {
                    left.Push(bone.GetChild(child));
                }
            }
            return bones;
        }
    }
}
