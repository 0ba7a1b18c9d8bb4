using System.Collections.Generic;
using UnityEngine;
using UnityEngine.XR.Hands;
using UstHand.XRHands;

namespace UstHand.Samples
{
    /// <summary>
    /// Draws both hands as balls and bones, made at run time: put it with a <see cref="UstHandTracking"/> on an empty
    /// object, before a camera that looks at the service's world, and press Play. The object's place is that world's
    /// origin. Joints that no view saw are drawn dark.
    /// </summary>
    public sealed class BoneHands : MonoBehaviour
    {
        public UstHandTracking tracking;
        public Material material;
        public Color leftColor = new Color(0.2f, 0.6f, 1f);
        public Color rightColor = new Color(1f, 0.5f, 0.2f);

        const float BoneRadius = 0.004f;
        const float Dark = 0.35f;

        sealed class DrawnHand
        {
            public GameObject Root;
            public Transform[] Balls;
            public Transform[] Bones;
            public Renderer[] Renderers;
            public Color Color;
        }

        DrawnHand _left;
        DrawnHand _right;
        MaterialPropertyBlock _properties;

        void Start()
        {
            if (tracking == null)
            {
                tracking = GetComponent<UstHandTracking>();
            }
            _properties = new MaterialPropertyBlock();
            _left = Make("Left", leftColor);
            _right = Make("Right", rightColor);
        }

        void LateUpdate()
        {
            XRHandSubsystem subsystem = tracking == null ? null : tracking.Subsystem;
            Draw(_left, subsystem == null ? default(XRHand) : subsystem.leftHand, subsystem != null);
            Draw(_right, subsystem == null ? default(XRHand) : subsystem.rightHand, subsystem != null);
        }

        void Draw(DrawnHand drawn, XRHand hand, bool running)
        {
            bool shown = running && hand.isTracked;
            drawn.Root.SetActive(shown);
            if (!shown)
            {
                return;
            }
            for (int i = 0; i < drawn.Balls.Length; i++)
            {
                XRHandJointID id = XRHandJointIDUtility.FromIndex(i);
                XRHandJoint joint = hand.GetJoint(id);
                Pose pose;
                if (!joint.TryGetPose(out pose))
                {
                    continue;
                }
                float radius;
                if (!joint.TryGetRadius(out radius))
                {
                    radius = 2f * BoneRadius;
                }
                drawn.Balls[i].localPosition = pose.position;
                drawn.Balls[i].localRotation = pose.rotation;
                drawn.Balls[i].localScale = radius * Vector3.one;
                bool seen = (joint.trackingState & XRHandJointTrackingState.HighFidelityPose) != 0;
                _properties.SetColor("_Color", seen ? drawn.Color : Dark * drawn.Color);
                _properties.SetColor("_BaseColor", seen ? drawn.Color : Dark * drawn.Color);
                drawn.Renderers[i].SetPropertyBlock(_properties);
                DrawBone(drawn.Bones[i], hand, id, pose.position);
            }
        }

        static void DrawBone(Transform bone, XRHand hand, XRHandJointID id, Vector3 end)
        {
            Pose parent;
            if (bone == null || !hand.GetJoint(ParentOf(id)).TryGetPose(out parent))
            {
                return;
            }
            Vector3 along = end - parent.position;
            bone.localPosition = parent.position + 0.5f * along;
            bone.localScale = new Vector3(2f * BoneRadius, 0.5f * along.magnitude, 2f * BoneRadius);
            if (along.sqrMagnitude > 0f)
            {
                bone.localRotation = Quaternion.FromToRotation(Vector3.up, along);
            }
        }

        /// <summary>Fingers hang on the wrist by their metacarpals; within a finger each joint hangs on the one before.</summary>
        static XRHandJointID ParentOf(XRHandJointID id)
        {
            switch (id)
            {
                case XRHandJointID.Palm:
                case XRHandJointID.ThumbMetacarpal:
                case XRHandJointID.IndexMetacarpal:
                case XRHandJointID.MiddleMetacarpal:
                case XRHandJointID.RingMetacarpal:
                case XRHandJointID.LittleMetacarpal:
                    return XRHandJointID.Wrist;
                default:
                    return id - 1;
            }
        }

        DrawnHand Make(string side, Color color)
        {
            int count = XRHandJointID.EndMarker.ToIndex();
            var drawn = new DrawnHand
            {
                Root = new GameObject(side + " hand"),
                Balls = new Transform[count],
                Bones = new Transform[count],
                Renderers = new Renderer[count],
                Color = color,
            };
            drawn.Root.transform.SetParent(transform, false);
            for (int i = 0; i < count; i++)
            {
                XRHandJointID id = XRHandJointIDUtility.FromIndex(i);
                drawn.Balls[i] = MakePart(PrimitiveType.Sphere, id.ToString(), drawn.Root.transform);
                drawn.Renderers[i] = drawn.Balls[i].GetComponent<Renderer>();
                if (id != XRHandJointID.Wrist)
                {
                    drawn.Bones[i] = MakePart(PrimitiveType.Cylinder, id + " bone", drawn.Root.transform);
                }
            }
            return drawn;
        }

        Transform MakePart(PrimitiveType type, string name, Transform parent)
        {
            GameObject part = GameObject.CreatePrimitive(type);
            part.name = name;
            part.transform.SetParent(parent, false);
            Destroy(part.GetComponent<Collider>());
            if (material != null)
            {
                part.GetComponent<Renderer>().sharedMaterial = material;
            }
            return part.transform;
        }
    }
}
