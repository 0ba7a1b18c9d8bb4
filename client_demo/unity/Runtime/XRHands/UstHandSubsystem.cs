using UnityEngine;
using UnityEngine.XR.Hands;

namespace UstHand.XRHands
{
    /// <summary>The hand subsystem that <see cref="UstHandTracking"/> creates; registered when the program starts.</summary>
    public sealed class UstHandSubsystem : XRHandSubsystem
    {
        public const string Id = "UstHand-Hands";

        /// <summary>Where hands come from.</summary>
        public HandFeed Feed
        {
            get { return ((UstHandProvider)provider).Feed; }
            set { ((UstHandProvider)provider).Feed = value; }
        }

        [RuntimeInitializeOnLoadMethod(RuntimeInitializeLoadType.SubsystemRegistration)]
        static void RegisterDescriptor()
        {
            XRHandSubsystemDescriptor.Register(new XRHandSubsystemDescriptor.Cinfo
            {
                id = Id,
                providerType = typeof(UstHandProvider),
                subsystemTypeOverride = typeof(UstHandSubsystem),
            });
        }
    }
}
