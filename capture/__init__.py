"""Cameras, recordings and rendered scenes in; synchronised frame sets out, in place in shared memory."""

from capture.errors import CaptureError, RigConfigError
from capture.frames import Frame, FrameSet
from capture.grabbers.protocol import CaptureMode
from capture.rig_config import RigConfig, load_rig, load_rig_config
from capture.scene import Scene
from capture.session import CaptureSession
from capture.state import CameraState, CameraStateName, DropCause

__all__ = [
    "CameraState",
    "CameraStateName",
    "CaptureError",
    "CaptureMode",
    "CaptureSession",
    "DropCause",
    "Frame",
    "FrameSet",
    "RigConfig",
    "RigConfigError",
    "Scene",
    "load_rig",
    "load_rig_config",
]
