"""A published data set as windows.

A data set's joints decide where a crop is cut, off by as much as a live tracker would be; as truth they are for
evaluation. They are labels only if one asks for `projected`, which is the paper's upper bound and no self-supervision.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import Camera
from engine.crops import CropCamera, crop_around_joints, sample_crop
from engine.detector.networks import LANDMARK_INPUT_PX
from engine.tracker.aim import NO_CAMERA, crop_projection
from training.crop_jitter import CropJitter
from training.datasets.published.layout import Layout, Moment, Scene, takes
from training.datasets.shards import Labelled, begin, write_manifest, write_shard
from training.detected_labels import Labeller
from training.samples import JOINTS, Window
from training.truth import Truth

LabelFrom = Literal["detector", "projected"]
_SHARD_WINDOWS: Final = 40


class PublishedWindows:
    """One window about each moment, the nearest frames repeated at the ends of a take (sec. 4.2).

    Args:
        layout: The split.
        labels: `detector`: what MediaPipe sees in each crop; `projected`: the data set's own joints in 2D; or a folder
            of another detector's: for each picture (`View.name`) a JSON file with a list of 21 pixels and a list of
            21 confidences, which is how HaMuCo keeps OpenPose's of HanCo; a picture without one has no label.
        frames: T of a window.
        size_px: Side of the crops.
        jitter: How crops are off.
        seed: Equal seeds give equal crops.
    """

    def __init__(
        self,
        layout: Layout,
        labels: LabelFrom | Path = "detector",
        *,
        frames: int = 5,
        size_px: int = LANDMARK_INPUT_PX,
        jitter: CropJitter | None = None,
        seed: int = 0,
    ) -> None:
        if frames < 1 or frames % 2 == 0:
            raise ValueError(f"windows of {frames} frames have no middle; use an odd number")
        self._layout = layout
        self._labels = labels
        self._labeller = Labeller() if labels == "detector" else None
        self._size_px = size_px
        self._jitter = jitter or CropJitter()
        self._seed = seed
        half = frames // 2
        self._windows = [
            tuple(take[min(max(middle + step, 0), len(take) - 1)] for step in range(-half, half + 1))
            for take in takes(layout.moments())
            for middle in range(len(take))
        ]

    @property
    def name(self) -> str:
        """The data set, the split and the labels."""
        return f"{self._layout.name}, {self._labels_name} labels"

    @property
    def about(self) -> dict[str, Any]:
        """What decides the windows."""
        return {
            "data": self._layout.name,
            "labels": self._labels_name,
            "size_px": self._size_px,
            "jitter": asdict(self._jitter),
            "seed": self._seed,
            "moments": [
                f"{window[len(window) // 2].take} {window[len(window) // 2].frame}" for window in self._windows
            ],
        }

    @property
    def version(self) -> str:
        """Digest of the settings and of which moments there are; files of the data set are taken as published."""
        told = json.dumps(self.about, sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> Window:
        moments = self._moments(index)
        scenes = self._scenes(moments)
        rng = np.random.default_rng((self._seed, index))
        origin_world = self._origin_world(scenes, rng)
        views = max(len(scene.views) for scene in scenes)
        offs = [self._jitter.draw(rng) for _ in range(views)]
        shape = (len(scenes), views)
        crops = np.zeros((*shape, self._size_px, self._size_px, 3), np.uint8)
        projections = np.tile(NO_CAMERA, (*shape, 1, 1))
        mask = np.zeros(shape, np.float32)
        labels, confidence = np.zeros((*shape, JOINTS, 2)), np.zeros((*shape, JOINTS))
        for t, scene in enumerate(scenes):
            for v, view in enumerate(scene.views):
                if view is None:
                    continue
                camera = view.camera
                around = crop_around_joints(camera.to_camera(scene.joints_world), self._size_px)
                if around is None:
                    continue
                image = cv2.imread(str(view.picture))
                if image is None or image.shape[1::-1] != (camera.width, camera.height):
                    raise ValueError(f"{view.picture}: is no picture of {camera.width}x{camera.height}; fetch it again")
                crop = offs[v].moved(around)
                crops[t, v] = sample_crop(np.asarray(image, np.uint8), camera, crop)[..., ::-1]
                projections[t, v] = crop_projection(camera, crop, origin_world)
                mask[t, v] = 1.0
                if self._labels == "projected":
                    labels[t, v] = _in_crop(camera, crop, camera.project(scene.joints_world))
                    confidence[t, v] = 1.0
                elif isinstance(self._labels, Path):
                    pixels, confidence[t, v] = _read_labels((self._labels / view.name).with_suffix(".json"))
                    labels[t, v] = _in_crop(camera, crop, pixels)
        window = Window(
            crops, projections.astype(np.float32), mask, labels.astype(np.float32), confidence.astype(np.float32)
        )
        if self._labeller is None:
            return window
        detected, believed = self._labeller.label(window)
        return replace(window, labels=detected, label_confidence=believed)

    def truth(self, index: int) -> Truth:
        """What the data set says."""
        scenes = self._scenes(self._moments(index))
        origin_world = self._origin_world(scenes, np.random.default_rng((self._seed, index)))
        meshes = [scene.vertices_world for scene in scenes if scene.vertices_world is not None]
        return Truth(
            np.stack([scene.joints_world for scene in scenes]) - origin_world,
            np.stack(meshes) - origin_world if len(meshes) == len(scenes) else None,
        )

    @property
    def _labels_name(self) -> str:
        if self._labeller is not None:
            return self._labeller.name
        return self._labels.name if isinstance(self._labels, Path) else str(self._labels)

    def _moments(self, index: int) -> tuple[Moment, ...]:
        if not 0 <= index < len(self):
            raise IndexError(f"no window {index}; {self.name} has {len(self)}")
        return self._windows[index]

    def _scenes(self, moments: tuple[Moment, ...]) -> list[Scene]:
        # Frames repeated at an end are read once.
        read = {moment: self._layout.scene(moment) for moment in dict.fromkeys(moments)}
        return [read[moment] for moment in moments]

    def _origin_world(self, scenes: list[Scene], rng: np.random.Generator) -> NDArray[np.float64]:
        middle = np.mean([scene.joints_world for scene in scenes], axis=(0, 1))
        return np.asarray(middle + rng.normal(0.0, self._jitter.origin_m, 3))


def write_windows(
    folder: Path, source: PublishedWindows, limit: int | None, advance: Callable[[str], None] = lambda _: None
) -> int:
    """Write a data set's windows as shards, labelled once and read fast afterwards.

    Args:
        folder: An empty folder, one that is not there yet, or one where this was stopped, which is begun anew.
        source: The windows.
        limit: Take so many, spread over all; None is all.
        advance: Told about each window.

    Returns:
        How many were written.

    Raises:
        ValueError: If the folder is not empty or the source is.
    """
    if not len(source):
        raise ValueError(f"{source.name}: has no windows; look at `usthand data check`")
    begin(folder)
    count = min(limit or len(source), len(source))
    chosen = [number * len(source) // count for number in range(count)]
    counts: list[int] = []
    for first in range(0, count, _SHARD_WINDOWS):
        windows = []
        for index in chosen[first : first + _SHARD_WINDOWS]:
            windows.append(Labelled(source[index], source.truth(index)))
            advance(f"{len(windows) + first} of {count}")
        write_shard(folder, len(counts), windows)
        counts.append(len(windows))
    settings = {key: value for key, value in source.about.items() if key != "moments"}
    about = settings | {"source": source.version, "chosen": count}
    write_manifest(folder, source.name, counts, windows[0].window.size_px, about=about, truth=True)
    return count


def _in_crop(camera: Camera, crop: CropCamera, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move pixels `(21, 2)` of a picture to crop coordinates; what the crop cannot see becomes far outside."""
    rays = camera.unproject(pixels)
    directions = np.concatenate([rays, np.ones_like(rays[:, :1])], axis=1) @ crop.R_crop_camera.T
    flat = directions[:, :2] / np.maximum(directions[:, 2:], 1e-3)
    inside = (crop.pixels(flat) + 0.5) * (2.0 / crop.size_px) - 1.0
    return np.asarray(np.nan_to_num(inside, nan=0.0))


def _read_labels(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels `(21, 2)` and confidences `(21,)` of a label file; no confidence where there is none."""
    if not path.is_file():
        return np.zeros((JOINTS, 2)), np.zeros(JOINTS)
    try:
        pixels, believed = json.loads(path.read_text(encoding="utf-8"))
        return np.array(pixels, np.float64).reshape(JOINTS, 2), np.array(believed, np.float64).reshape(JOINTS)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: is no [21 pixels, 21 confidences] ({error}); label the picture again") from error
