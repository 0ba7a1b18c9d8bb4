"""Sources of pictures, one file a kind, all behind `Grabber`."""

from __future__ import annotations

from calibration import Camera
from capture.errors import CaptureError
from capture.grabbers.image_folder import ImageFolderGrabber
from capture.grabbers.opencv_device import OpenCVGrabber
from capture.grabbers.protocol import CaptureMode, Clock, Grab, Grabber, GrabberInfo, Lost, MonotonicClock
from capture.grabbers.recording import RecordingGrabber
from capture.grabbers.steps import Steps
from capture.grabbers.synthetic import Strides, SyntheticGrabber
from capture.grabbers.video_file import VideoFileGrabber
from capture.rig_config import FileSource, ImagesSource, OpenCVSource, RecordingSource, Source, SyntheticSource
from capture.scene import Scene

__all__ = ["CaptureMode", "Clock", "Grab", "Grabber", "GrabberInfo", "Lost", "MonotonicClock", "make_grabber"]


def make_grabber(
    source: Source,
    camera: Camera,
    mode: CaptureMode,
    clock: Clock,
    *,
    scene: Scene | None,
    strides: Strides | None = None,
    steps: Steps | None = None,
    first_index: int = 0,
) -> Grabber:
    """Make the grabber of a source.

    Args:
        source: Where the pictures come from.
        camera: The calibrated camera that takes them.
        mode: Live or lossless.
        clock: The time.
        scene: What synthetic cameras film.
        strides: What synthetic cameras of one rig share to keep in step.
        steps: What replayed cameras of one rig share to leave out the same instants.
        first_index: Count to go on with, for a source that has none of its own.

    Raises:
        CaptureError: If a synthetic camera has no scene to film.
    """
    match source:
        case FileSource():
            return VideoFileGrabber(source, mode, clock, steps)
        case ImagesSource():
            return ImageFolderGrabber(source, mode, clock, steps)
        case OpenCVSource():
            return OpenCVGrabber(source, camera.width, camera.height, clock, first_index=first_index)
        case SyntheticSource():
            if scene is None:
                raise CaptureError(f"camera {camera.id!r} is synthetic, but the session was given no scene to film")
            return SyntheticGrabber(source, camera, scene, mode, clock, strides)
        case RecordingSource():
            return RecordingGrabber(source, camera.id, mode, clock, steps)
