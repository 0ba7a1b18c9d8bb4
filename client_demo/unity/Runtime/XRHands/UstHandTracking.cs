using System.Collections.Generic;
using UnityEngine;
using UnityEngine.XR.Hands;
using UnityEngine.XR.Hands.ProviderImplementation;

namespace UstHand.XRHands
{
    /// <summary>
    /// Put this on one object of a scene: while it is enabled, a service's hands are the program's XR hands. No XR
    /// loader is needed.
    /// </summary>
    [DefaultExecutionOrder(-1000)]
    public sealed class UstHandTracking : MonoBehaviour
    {
        [Tooltip("Of the service: a ws, wss, http or https address.")]
        public string address = "ws://127.0.0.1:8000";

        [Tooltip("The service's token. Empty: the environment variable USTHAND_TOKEN, if there is one.")]
        public string token = "";

        [Tooltip("Axis of the calibration's world that points up, such as -y or +z. Empty: the service's own setting.")]
        public string up = "";

        [Tooltip("How far behind hands are shown, milliseconds. Below 0: as little as allows to interpolate.")]
        public float delayMs = -1f;

        [Tooltip("How far ahead of the exposure the service extrapolates, whole milliseconds.")]
        public int predictMs;

        UstHandSubsystem _subsystem;
        XRHandProviderUtility.SubsystemUpdater _updater;
        HandFeed _feed;
        StreamState _said;
        bool _saidEnded;

        /// <summary>The running subsystem; null while this is disabled.</summary>
        public XRHandSubsystem Subsystem
        {
            get { return _subsystem; }
        }

        /// <summary>How the connection stands.</summary>
        public StreamState State
        {
            get { return _feed == null ? StreamState.Stopped : _feed.Client.State; }
        }

        void OnEnable()
        {
            _subsystem = Create();
            if (_subsystem == null)
            {
                Debug.LogError("UST-Hand: the hand subsystem '" + UstHandSubsystem.Id + "' could not be created", this);
                enabled = false;
                return;
            }
            _feed = new HandFeed(Options()) { DelayMs = delayMs };
            try
            {
                _feed.Start();
            }
            catch (System.ArgumentException error)
            {
                Debug.LogError("UST-Hand: " + error.Message, this);
            }
            _subsystem.Feed = _feed;
            _subsystem.Start();
            _updater = new XRHandProviderUtility.SubsystemUpdater(_subsystem);
            _updater.Start();
        }

        void OnDisable()
        {
            if (_updater != null)
            {
                _updater.Stop();
                _updater.Destroy();
                _updater = null;
            }
            if (_subsystem != null)
            {
                _subsystem.Stop();
                _subsystem.Destroy();
                _subsystem = null;
            }
            if (_feed != null)
            {
                _feed.Dispose();
                _feed = null;
            }
            _said = StreamState.Stopped;
            _saidEnded = false;
        }

        void Update()
        {
            StreamState state = State;
            HandsMessage newest = _feed == null ? null : _feed.Client.Buffer.Newest;
            bool ended = newest != null && newest.Ended;
            if (ended && !_saidEnded)
            {
                Debug.Log("UST-Hand: the footage of " + address + " is over", this);
            }
            _saidEnded = ended;
            if (state == _said)
            {
                return;
            }
            _said = state;
            switch (state)
            {
                case StreamState.Failed:
                    Debug.LogError("UST-Hand: " + _feed.Client.Failure.Message, this);
                    break;
                case StreamState.Waiting:
                    Debug.LogWarning("UST-Hand: " + _feed.Client.Trouble + "; trying again", this);
                    break;
                case StreamState.Streaming:
                    Debug.Log("UST-Hand: hands come from " + address + "; " + _feed.Client.Hello.Axes, this);
                    break;
            }
        }

        StreamOptions Options()
        {
            string shown = string.IsNullOrEmpty(token)
                ? System.Environment.GetEnvironmentVariable("USTHAND_TOKEN")
                : token;
            return new StreamOptions
            {
                Address = address,
                Token = shown,
                Dialect = UstHandProvider.Dialect,
                Fields = "joints",
                Up = up,
                PredictMs = predictMs,
            };
        }

        static UstHandSubsystem Create()
        {
            var descriptors = new List<XRHandSubsystemDescriptor>();
            SubsystemManager.GetSubsystemDescriptors(descriptors);
            foreach (XRHandSubsystemDescriptor descriptor in descriptors)
            {
                if (descriptor.id == UstHandSubsystem.Id)
                {
                    return descriptor.Create() as UstHandSubsystem;
                }
            }
            return null;
        }
    }
}
