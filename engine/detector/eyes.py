"""How pictures are looked at for hands: palms in a whole picture, joints in a crop of it."""

from __future__ import annotations

from typing import Literal, Protocol

from calibration import Camera
from capture.frames import Frame
from engine.crops import CropCamera, sample_crop
from engine.detector.networks import LandmarkNetwork, LandmarkSize, Palm, PalmDetector
from engine.detector.views import HandView

_FULL_UP_TO_VIEWS = 3


class Eyes(Protocol):
    """What finds hands in single pictures. Several threads look at once."""

    def attend(self, views: int) -> None:
        """Get ready for a rig of so many views, before the first look at its frames."""

    def find_palms(self, frame: Frame) -> list[Palm]:
        """Find palms in a whole picture, best first."""

    def look(self, frame: Frame, camera: Camera, view: int, crop: CropCamera) -> HandView:
        """Find the joints in one crop of `LANDMARK_INPUT_PX`.

        Args:
            frame: The picture.
            camera: The camera that took it.
            view: Its index in the rig.
            crop: Where to look.
        """


class MediaPipeEyes:
    """MediaPipe's two networks.

    Args:
        landmarks: Which landmark network; `auto` is `full` for rigs of up to three cameras, `lite` for larger ones.
        min_palm_score: Palms below it are no detections.
    """

    def __init__(self, landmarks: LandmarkSize | Literal["auto"] = "auto", min_palm_score: float = 0.5) -> None:
        self._size = landmarks
        self._palms = PalmDetector(min_palm_score)
        self._networks: dict[LandmarkSize, LandmarkNetwork] = {}
        self.attend(0)

    def attend(self, views: int) -> None:
        """Choose the landmark network for a rig of so many views, opened when it is first needed."""
        size = self._size
        if size == "auto":
            size = "full" if views <= _FULL_UP_TO_VIEWS else "lite"
        if size not in self._networks:
            self._networks[size] = LandmarkNetwork(size)
        self._landmarks = self._networks[size]

    def find_palms(self, frame: Frame) -> list[Palm]:
        """Find palms in a whole picture, best first."""
        return self._palms.detect(frame.image_bgr)

    def look(self, frame: Frame, camera: Camera, view: int, crop: CropCamera) -> HandView:
        """Find the joints in one crop."""
        return HandView(view, crop, self._landmarks.infer(sample_crop(frame.image_bgr, camera, crop)))
