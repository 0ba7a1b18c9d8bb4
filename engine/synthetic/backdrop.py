"""What is behind the hands, and what a sensor does to a picture."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_NOISE_MARGIN: Final = 64


def clutter(width: int, height: int, seed: tuple[int, ...]) -> NDArray[np.uint8]:
    """Paint a room out of focus: a smooth gradient with blurred boxes and discs.

    Args:
        width: Image width, pixels.
        height: Image height, pixels.
        seed: Equal seeds give equal pictures.

    Returns:
        Picture `(height, width, 3)`, BGR.
    """
    rng = np.random.default_rng(seed)
    # Painted small and enlarged: it is blurred anyway.
    w, h = max(width // 4, 8), max(height // 4, 8)
    wall, desk = _muted(rng, 90.0, 190.0), _muted(rng, 50.0, 130.0)
    blend = np.clip((np.linspace(0.0, 1.0, h) - rng.uniform(0.45, 0.8)) * 6.0 + 0.5, 0.0, 1.0)[:, None, None]
    picture = np.broadcast_to(wall * (1.0 - blend) + desk * blend, (h, w, 3)).astype(np.float32)
    picture = picture * (
        1.0 + np.linspace(rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), w, dtype=np.float32)[None, :, None]
    )
    layer = np.ascontiguousarray(picture)
    for _ in range(int(rng.integers(8, 18))):
        x, y = (int(v) for v in rng.integers(0, (w, h)))
        size_x, size_y = (int(v) for v in rng.integers(3, (w // 4 + 4, h // 3 + 4)))
        color = tuple(float(v) for v in _muted(rng, 35.0, 210.0))
        if rng.random() < 0.6:
            cv2.rectangle(layer, (x - size_x, y - size_y), (x + size_x, y + size_y), color, cv2.FILLED)
        else:
            cv2.ellipse(layer, (x, y), (size_x, size_y), float(rng.uniform(0, 180)), 0, 360, color, cv2.FILLED)
    layer = np.asarray(cv2.GaussianBlur(layer, (0, 0), float(rng.uniform(0.025, 0.05)) * w), np.float32)
    speckle = rng.normal(0.0, 2.0, (h // 3 + 1, w // 3 + 1)).astype(np.float32)
    layer += np.asarray(cv2.resize(speckle, (w, h), interpolation=cv2.INTER_CUBIC), np.float32)[:, :, None]
    large = cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(large, 0.0, 255.0).astype(np.uint8)


def _muted(rng: np.random.Generator, low: float, high: float) -> NDArray[np.float64]:
    """Draw a colour `(3,)` of low saturation that cannot pass for skin: blue is never the weakest channel by far."""
    grey = rng.uniform(low, high)
    tint = rng.normal(0.0, 0.045, 3)
    tint[0] = abs(tint[0])
    return np.asarray(np.clip(grey * (1.0 + tint), 0.0, 255.0), dtype=np.float64)


class Sensor:
    """Lens blur and read-out noise of one camera.

    Args:
        width: Image width, pixels.
        height: Image height, pixels.
        seed: Equal seeds give equal noise.
        noise_level: Standard deviation of the noise, in steps of 8 bits.
        blur_px: Standard deviation of the blur.
    """

    def __init__(
        self, width: int, height: int, seed: tuple[int, ...], noise_level: float = 2.0, blur_px: float = 0.6
    ) -> None:
        rng = np.random.default_rng(seed)
        self._seed = seed
        self._blur_px = blur_px
        # Drawing millions of normal numbers a picture would cost more than all else: one sheet is drawn, and read at
        # another place each time.
        sheet = rng.normal(0.0, noise_level, (height + _NOISE_MARGIN, width + _NOISE_MARGIN, 3))
        self._sheet = np.clip(np.rint(sheet), -127, 127).astype(np.int8)

    def expose(self, image_bgr: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """Return the picture `(H, W, 3)` as the sensor reads it in frame `index`."""
        height, width = image_bgr.shape[:2]
        x, y = np.random.default_rng((*self._seed, index)).integers(0, _NOISE_MARGIN, 2)
        blurred = cv2.GaussianBlur(image_bgr, (3, 3), self._blur_px)
        noise = self._sheet[y : y + height, x : x + width]
        return np.asarray(cv2.add(blurred, noise, dtype=cv2.CV_8U), dtype=np.uint8)
