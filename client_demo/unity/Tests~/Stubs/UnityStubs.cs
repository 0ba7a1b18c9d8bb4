// As much of Unity's and XR Hands' public API as the package uses, written from its documentation, with empty bodies:
// to find errors of type and spelling without an editor. Nothing here runs, and nothing here proves that the package
// works in Unity.

using System;
using System.Collections.Generic;

namespace Unity.Collections
{
    public struct NativeArray<T> where T : struct
    {
        public T this[int index]
        {
            get { return default(T); }
            set { }
        }
    }
}

namespace UnityEngine
{
    public struct Vector3
    {
        public float x, y, z;
        public Vector3(float x, float y, float z) { this.x = x; this.y = y; this.z = z; }
        public static Vector3 one { get { return default(Vector3); } }
        public static Vector3 up { get { return default(Vector3); } }
        public float magnitude { get { return 0f; } }
        public float sqrMagnitude { get { return 0f; } }
        public static Vector3 operator +(Vector3 a, Vector3 b) { return a; }
        public static Vector3 operator -(Vector3 a, Vector3 b) { return a; }
        public static Vector3 operator *(float a, Vector3 b) { return b; }
    }

    public struct Quaternion
    {
        public float x, y, z, w;
        public Quaternion(float x, float y, float z, float w) { this.x = x; this.y = y; this.z = z; this.w = w; }
        public static Quaternion operator *(Quaternion a, Quaternion b) { return a; }
        public static Quaternion FromToRotation(Vector3 from, Vector3 to) { return default(Quaternion); }
    }

    public struct Pose
    {
        public Vector3 position;
        public Quaternion rotation;
        public Pose(Vector3 position, Quaternion rotation) { this.position = position; this.rotation = rotation; }
    }

    public struct Color
    {
        public Color(float r, float g, float b) { }
        public static Color operator *(float a, Color b) { return b; }
    }

    public enum PrimitiveType { Sphere, Capsule, Cylinder, Cube, Plane, Quad }
    public enum RuntimeInitializeLoadType { AfterSceneLoad, BeforeSceneLoad, AfterAssembliesLoaded, BeforeSplashScreen, SubsystemRegistration }

    [AttributeUsage(AttributeTargets.Method)]
    public sealed class RuntimeInitializeOnLoadMethodAttribute : Attribute
    {
        public RuntimeInitializeOnLoadMethodAttribute(RuntimeInitializeLoadType loadType) { }
    }

    [AttributeUsage(AttributeTargets.Class)]
    public sealed class DefaultExecutionOrder : Attribute
    {
        public DefaultExecutionOrder(int order) { }
    }

    [AttributeUsage(AttributeTargets.Field)]
    public sealed class TooltipAttribute : Attribute
    {
        public TooltipAttribute(string tooltip) { }
    }

    public class Object
    {
        public string name { get; set; }
        public static void Destroy(Object obj) { }
    }

    public class Component : Object
    {
        public Transform transform { get { return null; } }
        public T GetComponent<T>() { return default(T); }
        public T[] GetComponentsInChildren<T>() { return null; }
    }

    public class Behaviour : Component
    {
        public bool enabled { get; set; }
    }

    public class MonoBehaviour : Behaviour
    {
    }

    public class Transform : Component
    {
        public Vector3 position { get; set; }
        public Quaternion rotation { get; set; }
        public Vector3 localPosition { get; set; }
        public Quaternion localRotation { get; set; }
        public Vector3 localScale { get; set; }
        public int childCount { get { return 0; } }
        public Transform GetChild(int index) { return null; }
        public void SetParent(Transform parent, bool worldPositionStays) { }
        public Vector3 TransformPoint(Vector3 position) { return position; }
    }

    public class GameObject : Object
    {
        public GameObject(string name) { }
        public Transform transform { get { return null; } }
        public void SetActive(bool value) { }
        public T GetComponent<T>() { return default(T); }
        public static GameObject CreatePrimitive(PrimitiveType type) { return null; }
    }

    public class Material : Object
    {
    }

    public class Collider : Component
    {
    }

    public class Renderer : Component
    {
        public bool enabled { get; set; }
        public Material sharedMaterial { get; set; }
        public void SetPropertyBlock(MaterialPropertyBlock properties) { }
    }

    public sealed class MaterialPropertyBlock
    {
        public void SetColor(string name, Color value) { }
    }

    public static class Debug
    {
        public static void Log(object message, Object context) { }
        public static void LogWarning(object message, Object context) { }
        public static void LogError(object message) { }
        public static void LogError(object message, Object context) { }
    }

    public static class SubsystemManager
    {
        public static void GetSubsystemDescriptors<T>(List<T> descriptors) where T : ISubsystemDescriptor { }
    }

    public interface ISubsystemDescriptor
    {
        string id { get; }
    }
}

namespace UnityEngine.SubsystemsImplementation
{
    public abstract class SubsystemProvider
    {
        public bool running { get { return false; } }
    }

    public abstract class SubsystemProvider<TSubsystem> : SubsystemProvider
    {
        protected internal virtual bool TryInitialize() { return true; }
        public abstract void Start();
        public abstract void Stop();
        public abstract void Destroy();
    }

    public abstract class SubsystemWithProvider
    {
        public bool running { get { return false; } }
        public void Start() { }
        public void Stop() { }
        public void Destroy() { }
    }

    public abstract class SubsystemWithProvider<TSubsystem, TDescriptor, TProvider> : SubsystemWithProvider
    {
        protected internal TProvider provider { get { return default(TProvider); } }
    }

    public abstract class SubsystemDescriptorWithProvider<TSubsystem, TProvider> : ISubsystemDescriptor
    {
        public string id { get; protected set; }
        public TSubsystem Create() { return default(TSubsystem); }
    }
}

namespace UnityEngine.XR.Hands
{
    using Unity.Collections;
    using UnityEngine.SubsystemsImplementation;
    using UnityEngine.XR.Hands.ProviderImplementation;

    [Flags]
    public enum XRHandJointTrackingState
    {
        None = 0, Radius = 1, Pose = 2, LinearVelocity = 4, AngularVelocity = 8, WillNeverBeValid = 16, HighFidelityPose = 32,
    }

    public enum XRHandJointID
    {
        Invalid, BeginMarker, Wrist = BeginMarker, Palm, ThumbMetacarpal, ThumbProximal, ThumbDistal, ThumbTip,
        IndexMetacarpal, IndexProximal, IndexIntermediate, IndexDistal, IndexTip, MiddleMetacarpal, MiddleProximal,
        MiddleIntermediate, MiddleDistal, MiddleTip, RingMetacarpal, RingProximal, RingIntermediate, RingDistal, RingTip,
        LittleMetacarpal, LittleProximal, LittleIntermediate, LittleDistal, LittleTip, EndMarker,
    }

    public enum Handedness { Invalid, Left, Right }

    public static class XRHandJointIDUtility
    {
        public static int ToIndex(this XRHandJointID jointId) { return (int)jointId - 1; }
        public static XRHandJointID FromIndex(int index) { return (XRHandJointID)(index + 1); }
    }

    public struct XRHandJoint
    {
        public XRHandJointTrackingState trackingState { get { return XRHandJointTrackingState.None; } }
        public bool TryGetRadius(out float radius) { radius = 0f; return false; }
        public bool TryGetPose(out Pose pose) { pose = default(Pose); return false; }
    }

    public struct XRHand
    {
        public bool isTracked { get { return false; } }
        public Pose rootPose { get { return default(Pose); } }
        public XRHandJoint GetJoint(XRHandJointID id) { return default(XRHandJoint); }
    }

    public class XRHandSubsystem : SubsystemWithProvider<XRHandSubsystem, XRHandSubsystemDescriptor, XRHandSubsystemProvider>
    {
        [Flags]
        public enum UpdateSuccessFlags
        {
            None = 0, LeftHandRootPose = 1, LeftHandJoints = 2, RightHandRootPose = 4, RightHandJoints = 8, All = 15,
        }

        public enum UpdateType { Dynamic, BeforeRender }

        public XRHand leftHand { get { return default(XRHand); } }
        public XRHand rightHand { get { return default(XRHand); } }
    }

    public class XRHandSubsystemDescriptor : SubsystemDescriptorWithProvider<XRHandSubsystem, XRHandSubsystemProvider>
    {
        public struct Cinfo
        {
            public string id { get; set; }
            public Type providerType { get; set; }
            public Type subsystemTypeOverride { get; set; }
        }

        public static void Register(Cinfo cinfo) { }
    }
}

namespace UnityEngine.XR.Hands.ProviderImplementation
{
    using Unity.Collections;
    using UnityEngine.SubsystemsImplementation;

    public abstract class XRHandSubsystemProvider : SubsystemProvider<XRHandSubsystem>
    {
        public abstract void GetHandLayout(NativeArray<bool> handJointsInLayout);

        public abstract XRHandSubsystem.UpdateSuccessFlags TryUpdateHands(
            XRHandSubsystem.UpdateType updateType, ref Pose leftHandRootPose, NativeArray<XRHandJoint> leftHandJoints,
            ref Pose rightHandRootPose, NativeArray<XRHandJoint> rightHandJoints);
    }

    public static class XRHandProviderUtility
    {
        public static XRHandJoint CreateJoint(
            Handedness handedness, XRHandJointTrackingState trackingState, XRHandJointID id, Pose pose, float radius = 0f,
            Vector3 linearVelocity = new Vector3(), Vector3 angularVelocity = new Vector3())
        {
            return default(XRHandJoint);
        }

        public class SubsystemUpdater
        {
            public SubsystemUpdater(XRHandSubsystem subsystem) { }
            public void Start() { }
            public void Stop() { }
            public void Destroy() { }
        }
    }
}
