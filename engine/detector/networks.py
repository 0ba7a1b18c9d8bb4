"""MediaPipe's two hand networks in ONNX Runtime: palms in a whole picture, landmarks in a crop.

The weights are Google's, under Apache-2.0 (see NOTICE). Decoding follows the networks' published model cards: a single
shot detector over fixed anchors with 7 palm keypoints, and a regressor of 21 landmarks with presence and handedness.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from engine.errors import EngineError

LandmarkSize = Literal["lite", "full"]

PALM_INPUT_PX = 192
LANDMARK_INPUT_PX = 224
PALM_NETWORK = "palm_detection_lite.onnx"
LANDMARK_NETWORKS: dict[LandmarkSize, str] = {"lite": "hand_landmark_lite.onnx", "full": "hand_landmark_full.onnx"}

# Joints in crop pixels, presence and handedness; the fourth output, joints in the network's own metres, is not used.
_LANDMARK_OUTPUTS = ["Identity", "Identity_1", "Identity_2"]
_PALM_WRIST, _PALM_MIDDLE_KNUCKLE = 0, 2
_NMS_IOU = 0.3


@dataclass(frozen=True, eq=False, slots=True)
class Palm:
    """A palm found in a picture.

    Args:
        score: In [0, 1].
        center_px: Centre of its box `(2,)`, pixels.
        size_px: Longer side of its box.
        wrist_px: The wrist keypoint `(2,)`.
        middle_knuckle_px: The base of the middle finger `(2,)`.
    """

    score: float
    center_px: NDArray[np.float64]
    size_px: float
    wrist_px: NDArray[np.float64]
    middle_knuckle_px: NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Landmarks:
    """What the landmark network says of one crop.

    Args:
        keypoints_crop_px: The 21 joints `(21, 2)`, canonical order, pixel centres of the crop.
        presence: In [0, 1]: that the crop holds a hand.
        right_probability: In [0, 1]: that it is a right hand, in a picture that is not mirrored.
    """

    keypoints_crop_px: NDArray[np.float64]
    presence: float
    right_probability: float


def open_session(model: str | Path, threads: int = 1) -> ort.InferenceSession:
    """Open an embedded network by name, or a file, on the CPU with so many threads.

    Raises:
        EngineError: If the file is missing or is no ONNX model.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        with as_file(files("engine.detector") / "data" / str(model)) as path:
            return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises types of its own that are not public
        raise EngineError(f"network {model}: cannot be opened ({error}); reinstall usthand") from error


def _planes(image_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn a picture `(H, W, 3)` uint8 BGR into what the networks take: `(1, 3, H, W)` float32 RGB in [0, 1]."""
    planes = np.empty((1, 3, *image_bgr.shape[:2]), np.float32)
    for target, plane in zip(planes[0, ::-1], cv2.split(image_bgr), strict=True):
        np.multiply(plane, np.float32(1 / 255), out=target)
    return planes


def _anchors() -> NDArray[np.float64]:
    """Anchor centres `(2016, 2)` in [0, 1]: two a cell at stride 8, then six a cell at stride 16."""
    centers = []
    for cells, repeat in ((PALM_INPUT_PX // 8, 2), (PALM_INPUT_PX // 16, 6)):
        axis = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        centers.append(np.repeat(grid, repeat, axis=0))
    return np.concatenate(centers)


class PalmDetector:
    """Finds palms in a whole picture.

    Args:
        min_score: Palms below it are left out.
        max_palms: So many are kept, best first.
    """

    def __init__(self, min_score: float = 0.5, max_palms: int = 4) -> None:
        self._session = open_session(PALM_NETWORK)
        self._input = self._session.get_inputs()[0].name
        self._anchors = _anchors()
        self._min_score = min_score
        self._max_palms = max_palms

    def detect(self, image_bgr: NDArray[np.uint8]) -> list[Palm]:
        """Find palms in a picture `(H, W, 3)` uint8 BGR, best first, in its own pixels."""
        height, width = image_bgr.shape[:2]
        scale = PALM_INPUT_PX / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        left, top = (PALM_INPUT_PX - size[0]) // 2, (PALM_INPUT_PX - size[1]) // 2
        canvas = np.zeros((PALM_INPUT_PX, PALM_INPUT_PX, 3), np.uint8)
        small = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA)
        canvas[top : top + size[1], left : left + size[0]] = small
        tensor = _planes(canvas)
        boxes, logits = self._session.run(None, {self._input: tensor})
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0].astype(np.float64), -100, 100)))
        keep = np.flatnonzero(scores >= self._min_score)
        if not len(keep):
            return []
        raw = boxes[0, keep].astype(np.float64)
        offsets = self._anchors[keep] * PALM_INPUT_PX
        centers = raw[:, :2] + offsets
        sizes = raw[:, 2:4]
        points = raw[:, 4:].reshape(-1, 7, 2) + offsets[:, None]
        # The network counts from the canvas's edge: a pixel's centre lies half a pixel further, on both scales.
        origin = np.array([left, top])
        factor = np.array([width / size[0], height / size[1]])
        palms = []
        for index in _suppress(centers, sizes, scores[keep])[: self._max_palms]:
            palms.append(
                Palm(
                    score=float(scores[keep][index]),
                    center_px=(centers[index] - origin) * factor - 0.5,
                    size_px=float(sizes[index].max() * factor.mean()),
                    wrist_px=(points[index, _PALM_WRIST] - origin) * factor - 0.5,
                    middle_knuckle_px=(points[index, _PALM_MIDDLE_KNUCKLE] - origin) * factor - 0.5,
                )
            )
        return palms


def _suppress(centers: NDArray[np.float64], sizes: NDArray[np.float64], scores: NDArray[np.float64]) -> list[int]:
    """Indices of boxes that no better box overlaps, best first."""
    top_left, bottom_right = centers - sizes / 2, centers + sizes / 2
    areas = sizes.prod(axis=1)
    rest = np.argsort(-scores)
    kept: list[int] = []
    while len(rest):
        best, rest = int(rest[0]), rest[1:]
        kept.append(best)
        overlap = np.clip(
            np.minimum(bottom_right[best], bottom_right[rest]) - np.maximum(top_left[best], top_left[rest]), 0, None
        ).prod(axis=1)
        rest = rest[overlap <= _NMS_IOU * (areas[best] + areas[rest] - overlap)]
    return kept


class LandmarkNetwork:
    """Finds the 21 joints of the hand in a crop that is centred on it, fingers up.

    Args:
        size: `lite` takes about half the time of `full` and is less accurate.
    """

    def __init__(self, size: LandmarkSize = "full") -> None:
        self._session = open_session(LANDMARK_NETWORKS[size])
        self._input = self._session.get_inputs()[0].name

    def infer(self, crop_bgr: NDArray[np.uint8]) -> Landmarks:
        """Read a crop `(224, 224, 3)` uint8 BGR."""
        tensor = _planes(crop_bgr)
        points, presence, handedness = self._session.run(_LANDMARK_OUTPUTS, {self._input: tensor})
        keypoints = points.reshape(21, 3)[:, :2].astype(np.float64)
        return Landmarks(keypoints, float(presence[0, 0]), float(handedness[0, 0]))
