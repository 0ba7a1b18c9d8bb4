"""2D labels by an off-the-shelf detector: MediaPipe's landmark network, asked about each crop by itself."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.detector.networks import LANDMARK_INPUT_PX, LandmarkNetwork, LandmarkSize
from training.samples import JOINTS, Window

MIN_PRESENCE: Final = 0.3
"""Below it the network says that there is no hand, and its joints are no labels."""


class Labeller:
    """Labels crops.

    Args:
        size: Which of the landmark networks.
    """

    def __init__(self, size: LandmarkSize = "full") -> None:
        self._network = LandmarkNetwork(size)
        self.name = f"mediapipe-{size}"

    def label(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See a window's crops one by one.

        Args:
            window: Of right hands, or of left ones in the mirror; crops of `LANDMARK_INPUT_PX`.

        Returns:
            Labels `(T, V, 21, 2)`, crop coordinates, and confidence `(T, V, 21)`: the network's presence times its
            probability of a right hand, one for all joints of a crop; 0 in masked views and where it sees no hand.

        Raises:
            ValueError: If the crops have another size.
        """
        if window.size_px != LANDMARK_INPUT_PX:
            raise ValueError(f"crops of {window.size_px} px cannot be labelled; make them {LANDMARK_INPUT_PX} px")
        labels = np.zeros((window.frames, window.views, JOINTS, 2), dtype=np.float32)
        confidence = np.zeros(labels.shape[:-1], dtype=np.float32)
        for frame, view in zip(*np.nonzero(window.view_mask), strict=True):
            seen = self._network.infer(np.ascontiguousarray(window.crops[frame, view, :, :, ::-1]))
            if seen.presence >= MIN_PRESENCE:
                labels[frame, view] = (seen.keypoints_crop_px + 0.5) * (2.0 / LANDMARK_INPUT_PX) - 1.0
                confidence[frame, view] = seen.presence * seen.right_probability
        return labels, confidence
