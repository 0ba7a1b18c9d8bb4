"""Windows of rendered hands with exact truth: training data that needs no footage.

A window's crops are cut as a live tracker would cut them: around joints that it believes to know, which are a bit off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration import Camera, Rig
from engine.crops import crop_around_joints, sample_crop
from engine.hand_model import Side
from engine.synthetic import HandScene, SceneVariety, make_rig
from engine.synthetic.rigs import look_at
from engine.tracker.aim import NO_CAMERA, crop_projection
from training.crop_jitter import CropJitter
from training.samples import JOINTS, Window, mirrored_points, mirrored_window
from training.truth import Truth
from training.variety import Conditions, busy_backdrop

_MOTION_FRAMES: Final = 3000
_OUTSIDE_CONFIDENCE: Final = 0.1
_RATES_HZ: Final = (6.0, 10.0, 15.0, 30.0, 30.0, 60.0)
_HAND_M: Final = 0.2


@dataclass(frozen=True, slots=True)
class SyntheticConfig:
    """What windows are rendered.

    Args:
        size_px: Side of the crops.
        views: Cameras of a rig.
        frames: Frames of a window.
        rate_hz: Frames a second.
        left_share: Share of left hands; they are mirrored to right ones.
        windows_per_scene: So many windows share a person, a light, a background and a rig.
        image_px: Width and height of the cameras' pictures.
        jitter: How crops are off.
        varied: Other surroundings, cameras and rigs than the demo's: what real ones may be like.
        scenes: What else scenes have: things in the hand and in the way, second hands, other lights and attitudes. None
            is a raised hand by itself, as in bench-1.
    """

    size_px: int = 224
    views: int = 4
    frames: int = 5
    rate_hz: float = 30.0
    left_share: float = 0.5
    windows_per_scene: int = 4
    image_px: tuple[int, int] = (640, 480)
    jitter: CropJitter = field(default_factory=CropJitter)
    varied: bool = False
    scenes: SceneVariety | None = None


def synthetic_windows(config: SyntheticConfig, count: int, seed: int) -> list[tuple[Window, Truth]]:
    """Render windows, each with its truth apart; equal arguments give equal windows.

    Args:
        config: What to render.
        count: How many windows.
        seed: Where all chance comes from.

    Returns:
        The windows.
    """
    made: list[tuple[Window, Truth]] = []
    for number in range(-(-count // config.windows_per_scene)):
        rng = np.random.default_rng((seed, number))
        scene_seed, rig_seed = (int(value) for value in rng.integers(2**31, size=2))
        side: Side = "left" if rng.random() < config.left_share else "right"
        rate_hz = float(rng.choice(_RATES_HZ)) if config.varied else config.rate_hz
        scene = HandScene(seed=scene_seed, rate_hz=rate_hz, side=side, variety=config.scenes)
        if config.varied:
            rig = varied_rig(config.views, rig_seed, *config.image_px)
        else:
            rig = make_rig(config.views, rig_seed, *config.image_px)
        for _ in range(min(config.windows_per_scene, count - len(made))):
            start = int(rng.integers(_MOTION_FRAMES))
            made.append(render_window(scene, rig, range(start, start + config.frames), config, rng))
    return made


def varied_rig(views: int, seed: int, width: int = 640, height: int = 480) -> Rig:
    """Place cameras as labs do: all around or on one side, at any height, near or across a room.

    Args:
        views: How many cameras.
        seed: Equal seeds give equal rigs.
        width: Image width, pixels.
        height: Image height, pixels.

    Returns:
        Cameras `cam0`, `cam1`, ... that see the middle of the working volume of `engine.synthetic.rigs`.
    """
    rng = np.random.default_rng([seed, 0x7A61])
    spread = np.radians(rng.uniform(60.0, 360.0))
    middle = np.radians(90.0) + rng.normal(0.0, 0.5)
    low, high = np.sort(np.radians(rng.uniform(-15.0, 75.0, 2)))
    distance_m = np.exp(rng.uniform(np.log(0.45), np.log(2.5)))
    cameras = []
    for number in range(views):
        azimuth = middle + spread * ((number + rng.uniform(0.2, 0.8)) / views - 0.5)
        rise = rng.uniform(low, high)
        direction = np.array([np.cos(azimuth) * np.cos(rise), np.sin(azimuth) * np.cos(rise), np.sin(rise)])
        center = direction * max(0.4, distance_m * rng.uniform(0.8, 1.25))
        # As many pixels as a hand has in footage: some 90 of a camera that sees a room, half of the picture at a desk.
        hand_px = np.exp(rng.uniform(np.log(0.1875 * height), np.log(0.45 * height)))
        focal = hand_px * float(np.linalg.norm(center)) / _HAND_M
        principal = (np.array([width, height]) - 1.0) / 2.0 + rng.normal(0.0, 0.01 * width, 2)
        distortion = np.array([*rng.uniform((-0.15, -0.02), (0.05, 0.05)), *rng.normal(0.0, 5e-4, 2), 0.0])
        cameras.append(
            Camera(
                id=f"cam{number}",
                width=width,
                height=height,
                K=np.array([[focal, 0.0, principal[0]], [0.0, focal, principal[1]], [0.0, 0.0, 1.0]]),
                # Long lenses distort less.
                distortion=distortion * min(1.0, width / focal) ** 2,
                T_camera_world=look_at(center, rng.normal(0.0, 0.02, 3), np.radians(rng.uniform(-15.0, 15.0))),
            )
        )
    return Rig(tuple(cameras), name=f"synthetic-varied-{views}")


def render_window(
    scene: HandScene, rig: Rig, indices: Sequence[int], config: SyntheticConfig, rng: np.random.Generator
) -> tuple[Window, Truth]:
    """Render a scene of one hand.

    Args:
        scene: One hand that is never away.
        rig: The cameras.
        indices: Frames of the scene, one window's.
        config: Crop size and jitter.
        rng: Where they are drawn from.

    Returns:
        The window, and its truth; those of a left hand are mirrored to a right one's.
    """
    hands = [scene.truth(index)[0] for index in indices]
    joints_world = np.stack([hand.joints_world for hand in hands])
    origin_world = joints_world.mean(axis=(0, 1)) + rng.normal(0.0, config.jitter.origin_m, 3)
    offs = [config.jitter.draw(rng) for _ in rig]
    conditions = [Conditions.draw(rng) if config.varied else None for _ in rig]
    backdrops = [busy_backdrop(camera.width, camera.height, rng) if config.varied else None for camera in rig]
    shape = (len(hands), len(rig.cameras))
    crops = np.zeros((*shape, config.size_px, config.size_px, 3), dtype=np.uint8)
    projections = np.tile(NO_CAMERA, (*shape, 1, 1)).astype(np.float64)
    labels = np.zeros((*shape, JOINTS, 2))
    seen, inside = np.zeros(shape, dtype=bool), np.zeros((*shape, JOINTS), dtype=bool)
    for t, (index, hand) in enumerate(zip(indices, hands, strict=True)):
        for v, (camera, off, condition, backdrop) in enumerate(zip(rig, offs, conditions, backdrops, strict=True)):
            around = crop_around_joints(camera.to_camera(hand.joints_world), config.size_px)
            if around is None:
                continue
            crop = off.moved(around)
            seen[t, v] = True
            if condition is None or backdrop is None:
                crop_bgr = sample_crop(scene.render(camera, index), camera, crop)
            else:
                image = scene.raster(camera, index).over(backdrop)
                crop_bgr = condition.seen(sample_crop(image, camera, crop), rng)
            crops[t, v] = crop_bgr[..., ::-1]
            projections[t, v] = crop_projection(camera, crop, origin_world)
            labels[t, v] = _projected(projections[t, v], hand.joints_world - origin_world)
            inside[t, v] = camera.contains(camera.project(hand.joints_world))
    _spend(rng, inside.shape)
    inside &= (np.abs(labels) < 1.0).all(axis=-1)
    confidence = np.where(inside, 1.0, _OUTSIDE_CONFIDENCE) * seen[..., None]
    window = Window(
        crops=crops,
        projections=projections.astype(np.float32),
        view_mask=seen.astype(np.float32),
        labels=labels.astype(np.float32),
        label_confidence=confidence.astype(np.float32),
    )
    joints = joints_world - origin_world
    vertices = np.stack([hand.vertices_world for hand in hands]) - origin_world
    if hands[0].side == "left":
        return mirrored_window(window), Truth(mirrored_points(joints), mirrored_points(vertices))
    return window, Truth(joints, vertices)


def _spend(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    """Draw what labels once took: the windows of a scene share a generator, and bench-1 is fixed for good."""
    rng.random(shape)
    rng.normal(size=(*shape, 2))
    rng.random(shape)
    rng.random((*shape, 2))


def _projected(projection: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    moved = points @ projection[:, :3].T + projection[:, 3]
    flat: NDArray[np.float64] = moved[:, :2] / moved[:, 2:]
    return flat
