"""What makes rendered pictures as different from each other as real ones are: surroundings, things in the way, cameras.

All of it is two-dimensional and cheap. A window's views each have their own conditions, the same in all its frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

# Shares of crops.
_BLURRED: Final = 0.35
_COARSE: Final = 0.5
_OCCLUDED: Final = 0.25
_MAX_BLUR_PX: Final = 9
_SKIN_BGR: Final = np.array([[150.0, 180.0, 225.0], [90.0, 130.0, 190.0], [45.0, 75.0, 125.0]])


def busy_backdrop(width: int, height: int, rng: np.random.Generator) -> Picture:
    """Paint surroundings with edges, textures and things of skin's colours: `(height, width, 3)` BGR.

    Shapes of all sizes lie over each other, from in focus to far out of it.
    """
    layer = np.empty((height, width, 3), np.float32)
    layer[:] = _color(rng)
    layer += np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None, None] * rng.uniform(-40, 40)
    largest = max(width, height) // 2
    for _ in range(int(rng.integers(6, 40))):
        color = tuple(float(value) for value in _color(rng))
        x, y = (int(value) for value in rng.integers(0, (width, height)))
        size = int(np.exp(rng.uniform(np.log(4), np.log(largest))))
        match int(rng.integers(4)):
            case 0:
                corners = cv2.boxPoints(((x, y), (size, size * rng.uniform(0.1, 2.0)), float(rng.uniform(0, 180))))
                cv2.fillConvexPoly(layer, corners.astype(np.int32), color, cv2.LINE_AA)
            case 1:
                axes = (size // 2 + 1, int(size * rng.uniform(0.1, 0.8)) + 1)
                cv2.ellipse(layer, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, color, cv2.FILLED, cv2.LINE_AA)
            case 2:
                # Sticks and stripes, which fingers are mistaken for.
                step = np.array([size * rng.uniform(0.05, 0.3), size * rng.uniform(-0.1, 0.1)])
                along = rng.normal(size=2)
                along *= size / np.linalg.norm(along)
                for number in range(int(rng.integers(1, 6))):
                    start = np.array([x, y]) + number * step
                    ends = (start.astype(int), (start + along).astype(int))
                    width_px = max(1, int(size * rng.uniform(0.02, 0.12)))
                    cv2.line(layer, ends[0].tolist(), ends[1].tolist(), color, width_px, cv2.LINE_AA)
            case _:
                x1, y1 = min(x + size, width), min(y + size, height)
                patch = layer[y:y1, x:x1]
                patch += _texture(patch.shape[0], patch.shape[1], rng)
    layer += _texture(height, width, rng)
    if rng.random() < 0.6:
        layer = np.asarray(cv2.GaussianBlur(layer, (0, 0), float(np.exp(rng.uniform(np.log(0.5), np.log(8.0))))))
    return np.clip(layer, 0.0, 255.0).astype(np.uint8)


def _color(rng: np.random.Generator) -> NDArray[np.float64]:
    if rng.random() < 0.2:
        skin: NDArray[np.float64] = _SKIN_BGR[rng.integers(len(_SKIN_BGR))] * rng.uniform(0.6, 1.1)
        return skin
    grey = rng.uniform(10, 245)
    return np.asarray(np.clip(grey + rng.normal(0.0, 35.0, 3) * rng.random(), 0, 255), dtype=np.float64)


def _texture(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of one grain `(height, width, 1)`, or stripes."""
    grain = int(np.exp(rng.uniform(0.0, np.log(24.0)))) + 1
    shape = (height // grain + 2, width // grain + 2)
    noise = rng.normal(0.0, rng.uniform(2.0, 22.0), shape).astype(np.float32)
    if rng.random() < 0.2:
        noise[:] = noise[:, :1] if rng.random() < 0.5 else noise[:1]
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)[..., None]


@dataclass(frozen=True, eq=False, slots=True)
class Conditions:
    """How one camera sees one window.

    Args:
        gain_bgr: Exposure and white balance `(3,)`.
        gamma: Contrast.
        coarseness: The crop has so many times fewer pixels than it seems; 1 or more.
        blur_px: Length of the motion blur, pixels; below 2 is none.
        blur_rad: Its direction.
        noise: Standard deviation of the noise, grey values.
        jpeg: Quality of compression.
        occluders: Things in the way: corners `(N, 2)`, crop coordinates, and colour `(3,)` of each.
    """

    gain_bgr: NDArray[np.float64]
    gamma: float
    coarseness: float
    blur_px: float
    blur_rad: float
    noise: float
    jpeg: int
    occluders: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Conditions:
        """Draw conditions; most of them are mild."""
        occluders = []
        if rng.random() < _OCCLUDED:
            for _ in range(int(rng.integers(1, 3))):
                place, size = rng.uniform(-0.7, 0.7, 2), np.exp(rng.uniform(np.log(0.1), np.log(0.6)))
                angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(4, 9))))
                radii = size * rng.uniform(0.5, 1.0, len(angles)) * np.array([1.0, rng.uniform(0.2, 1.0)])[:, None]
                corners = place + (radii * np.stack([np.cos(angles), np.sin(angles)])).T
                occluders.append((corners, _color(rng)))
        warmth = rng.normal(0.0, 0.08)
        return cls(
            gain_bgr=np.exp(rng.normal(0.0, 0.2)) * np.array([1.0 - warmth, 1.0, 1.0 + warmth]),
            gamma=float(np.exp(rng.normal(0.0, 0.2))),
            coarseness=float(np.exp(rng.uniform(0.0, np.log(3.5)))) if rng.random() < _COARSE else 1.0,
            blur_px=float(rng.uniform(0, _MAX_BLUR_PX)) if rng.random() < _BLURRED else 0.0,
            blur_rad=float(rng.uniform(0, np.pi)),
            noise=float(np.exp(rng.uniform(np.log(0.5), np.log(8.0)))),
            jpeg=int(rng.integers(45, 96)),
            occluders=tuple(occluders),
        )

    def seen(self, crop_bgr: Picture, rng: np.random.Generator) -> Picture:
        """The crop `(S, S, 3)` under these conditions; the generator draws the noise."""
        side = crop_bgr.shape[0]
        image = crop_bgr.astype(np.float32)
        for corners, color in self.occluders:
            at = ((corners + 1.0) * (side / 2)).round().astype(np.int32)
            cv2.fillPoly(image, [at], tuple(float(value) for value in color), cv2.LINE_AA)
        if self.blur_px >= 2.0:
            image = np.asarray(cv2.filter2D(image, -1, _motion_kernel(self.blur_px, self.blur_rad)), np.float32)
        image = 255.0 * (np.clip(image * self.gain_bgr / 255.0, 0.0, 1.0) ** self.gamma).astype(np.float32)
        coarse = max(8, round(side / self.coarseness))
        if coarse < side:
            image = np.asarray(cv2.resize(image, (coarse, coarse), interpolation=cv2.INTER_AREA), np.float32)
        image += rng.normal(0.0, self.noise, image.shape).astype(np.float32)
        small = np.clip(image, 0.0, 255.0).astype(np.uint8)
        _, packed = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg])
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.float32)
        if coarse < side:
            image = np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)
        return np.clip(image, 0.0, 255.0).astype(np.uint8)


def _motion_kernel(length_px: float, angle: float) -> NDArray[np.float32]:
    side = 2 * int(np.ceil(length_px / 2)) + 1
    kernel = np.zeros((side, side), np.float32)
    half = 0.5 * length_px * np.array([np.cos(angle), np.sin(angle)])
    centre = np.array([side // 2, side // 2])
    ends = ((centre - half).round().astype(int).tolist(), (centre + half).round().astype(int).tolist())
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA)
    return kernel / kernel.sum()
