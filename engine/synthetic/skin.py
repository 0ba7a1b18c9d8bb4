"""What a hand is painted with: skin of many tones, paler palms, pink tips and nails, creases at the joints, cloth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.hand_model import ShapedHand
from engine.hand_model.rotations import matrix_from_axis_angle
from engine.synthetic.arm import Arm
from engine.synthetic.rasterizer import vertex_normals

# Reflected red, green and blue, 0 to 1, of the backs of hands, light to dark.
_TONES_RGB: Final = np.array(
    [
        (0.95, 0.76, 0.66),
        (0.90, 0.70, 0.58),
        (0.86, 0.65, 0.51),
        (0.78, 0.57, 0.43),
        (0.70, 0.49, 0.36),
        (0.60, 0.41, 0.30),
        (0.51, 0.345, 0.25),
    ]
)
_PALM_RGB: Final = np.array([0.93, 0.70, 0.61])
_PINK_RGB: Final = np.array([0.86, 0.47, 0.42])
_NAIL_RGB: Final = np.array([0.95, 0.74, 0.70])
_CLOTH_RGB: Final = np.array(
    [(0.16, 0.22, 0.34), (0.22, 0.24, 0.26), (0.36, 0.40, 0.44), (0.14, 0.30, 0.30), (0.30, 0.34, 0.50)]
)
Sleeve = Literal["muted", "any", "bare"]

_FINGER_CHAINS: Final = tuple(range(1 + 4 * finger, 5 + 4 * finger) for finger in range(5))


@dataclass(frozen=True, eq=False)
class Paint:
    """Surface of hand and forearm, vertex by vertex, the hand's first.

    Args:
        albedo_bgr: Reflected share of light `(N, 3)`.
        gloss: Strength of the highlight `(N,)`.
    """

    albedo_bgr: NDArray[np.float64]
    gloss: NDArray[np.float64]


def paint(shaped: ShapedHand, arm: Arm | None, seed: tuple[int, ...], *, sleeve: Sleeve = "muted") -> Paint:
    """Paint one person's hand and forearm.

    Args:
        shaped: The hand.
        arm: The forearm that continues it, if any.
        seed: Equal seeds give equal people.
        sleeve: Of cloth in a few muted colours, in any colour, or none.

    Returns:
        The surface.
    """
    rng = np.random.default_rng(seed)
    # Most people in the middle, none left out.
    place = rng.beta(1.3, 1.7) * (len(_TONES_RGB) - 1.0)
    low = int(place)
    back = _TONES_RGB[low] + (place - low) * (_TONES_RGB[min(low + 1, len(_TONES_RGB) - 1)] - _TONES_RGB[low])
    back = back * rng.uniform(0.96, 1.04, 3)
    palm = 0.55 * back + 0.45 * _PALM_RGB * (0.35 + 0.65 * back[0] / _TONES_RGB[0, 0])
    cloth = _CLOTH_RGB[rng.integers(len(_CLOTH_RGB))] * rng.uniform(0.8, 1.3)

    vertices, joints = shaped.rest_vertices, shaped.rest_joints_21
    normals = vertex_normals(vertices, shaped.model.faces)
    dorsal = normals[:, 1].copy()
    gloss = np.full(len(vertices), 0.15)
    palmar = np.clip(0.5 - 1.1 * dorsal, 0.0, 1.0)[:, None]
    color = back + (palm - back) * palmar
    for chain in _FINGER_CHAINS:
        thumb = chain.start == 1
        outward = _nail_direction(shaped) if thumb else np.array([0.0, 1.0, 0.0])
        up = normals @ outward
        for number, joint in enumerate(list(chain)[:-1]):
            if thumb and number == 0:
                continue
            _crease(color, vertices - joints[joint], joints[chain[number + 1]] - joints[joint], up, knuckle=number == 0)
        bone = joints[chain[3]] - joints[chain[2]]
        length = float(np.linalg.norm(bone))
        along = (vertices - joints[chain[2]]) @ bone / length**2
        aside = np.linalg.norm(vertices - joints[chain[2]] - along[:, None] * bone, axis=1)
        near = aside < 0.016
        tip = np.clip((along - 0.45) * 1.6, 0.0, 1.0) * near * np.clip(0.6 - up, 0.15, 1.0)
        color += (0.75 * color + 0.25 * _PINK_RGB * color.mean() / _PINK_RGB.mean() - color) * tip[:, None]
        nail = near & (along > 0.42) & (along < 1.02) & (up > 0.62)
        color[nail] = 0.45 * color[nail] + 0.55 * _NAIL_RGB * (0.35 + 0.65 * back[0])
        gloss[nail] = 0.4
    color *= 1.0 + _blotches(vertices, rng)[:, None] * np.array([0.02, 0.04, 0.045])
    if arm is not None:
        wrist = color[arm.edge].mean(axis=0)
        rings = np.tile(color[arm.edge], (len(arm.along_m) // len(arm.edge), 1))
        share = np.clip(arm.along_m / 0.05, 0.0, 1.0)[:, None]
        rings += (0.5 * (wrist + back) - rings) * 0.6 * share
        folds = 1.0 + 0.08 * np.sin(arm.along_m * 160.0 + rng.uniform(0, 6.3))
        if sleeve == "any":
            cloth = rng.uniform(0.03, 0.9) * rng.uniform(0.4, 1.0, 3)
        cloth_vertices = arm.is_sleeve & (sleeve != "bare")
        rings[cloth_vertices] = cloth * folds[cloth_vertices, None]
        color = np.concatenate([color, rings])
        gloss = np.concatenate([gloss, np.where(cloth_vertices, 0.0, 0.12)])
    return Paint(albedo_bgr=np.ascontiguousarray(np.clip(color, 0.02, 1.0)[:, ::-1]), gloss=gloss)


def _nail_direction(shaped: ShapedHand) -> NDArray[np.float64]:
    """Where the back of the thumb's end faces `(3,)`: the thinnest way through it, away from the little finger."""
    share = shaped.model.skinning_weights[:, 15]
    end = shaped.rest_vertices[share > 0.8]
    joints = shaped.rest_joints_21
    bone = (joints[4] - joints[3]) / np.linalg.norm(joints[4] - joints[3])
    offsets = end - end.mean(axis=0)
    offsets = offsets - (offsets @ bone)[:, None] * bone
    thin = np.linalg.svd(offsets, full_matrices=False)[2][1]
    return np.asarray(thin if thin @ (joints[3] - joints[17]) > 0.0 else -thin, dtype=np.float64)


def _crease(
    color: NDArray[np.float64],
    offsets: NDArray[np.float64],
    bone: NDArray[np.float64],
    up: NDArray[np.float64],
    *,
    knuckle: bool,
) -> None:
    """Darken the skin around a joint: wrinkles on the back of a finger, a fold on its front. Changes `color`."""
    direction = bone / np.linalg.norm(bone)
    along = offsets @ direction
    aside = np.linalg.norm(offsets - along[:, None] * direction, axis=1)
    width = 0.006 if knuckle else 0.0035
    depth = np.exp(-((along / width) ** 2)) * (aside < (0.017 if knuckle else 0.014))
    strength = np.where(up > 0.0, 0.13 if not knuckle else 0.07, 0.0 if knuckle else 0.16)
    color *= 1.0 - (depth * strength)[:, None] * np.array([0.7, 1.0, 1.05])


def _blotches(vertices: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth noise over the skin `(N,)`, about unit variance."""
    waves = 14
    directions = matrix_from_axis_angle(rng.normal(0.0, 2.0, (waves, 3)))[:, 0] * rng.uniform(120.0, 900.0, (waves, 1))
    return np.asarray(np.sin(vertices @ directions.T + rng.uniform(0.0, 6.3, waves)).sum(axis=1) / np.sqrt(waves / 2.0))
