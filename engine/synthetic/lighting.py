"""Light on a hand: a key, a fill and the room's, soft shadows between fingers, and a highlight, at each vertex."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.hand_model import MANO_PARENTS, PosedHand

_OCCLUDER_RADIUS_M: Final = 0.0095
_SHININESS: Final = 18.0
# Light that skin scatters past the edge of its shadow is red.
_WRAP_BGR: Final = np.array([0.08, 0.12, 0.24])


class Lights:
    """The lights of a scene, fixed in the world.

    Args:
        seed: Equal seeds give equal lights.
        varied: Lamps of any strength, colour and place, instead of a well-lit room's.
    """

    def __init__(self, seed: tuple[int, ...], *, varied: bool = False) -> None:
        rng = np.random.default_rng(seed)
        if varied:
            self._draw_varied(rng)
            return
        azimuth, elevation = np.radians(rng.uniform(25.0, 155.0)), np.radians(rng.uniform(30.0, 60.0))
        self._key = _direction(azimuth, elevation)
        self._fill = _direction(azimuth + np.radians(rng.uniform(130.0, 230.0)), np.radians(rng.uniform(5.0, 40.0)))
        warm = rng.uniform(-0.06, 0.06)
        self._key_bgr = rng.uniform(0.70, 0.84) * np.array([1.0 - warm, 1.0, 1.0 + warm])
        self._fill_bgr = rng.uniform(0.28, 0.38) * np.array([1.0 + warm, 1.0, 1.0 - warm])
        self._sky = rng.uniform(0.34, 0.42)
        self._ground = rng.uniform(0.24, 0.30)

    def _draw_varied(self, rng: np.random.Generator) -> None:
        self._key = _direction(*np.radians(rng.uniform((0.0, -10.0), (360.0, 85.0))))
        self._fill = _direction(*np.radians(rng.uniform((0.0, -30.0), (360.0, 60.0))))
        # From a candle's orange to a screen's blue; most lamps are near white.
        warm, other = 0.14 * rng.standard_t(5, 2).clip(-2.5, 2.5)
        self._key_bgr = rng.uniform(0.3, 1.1) * np.array([1.0 - warm, 1.0, 1.0 + warm])
        self._fill_bgr = rng.uniform(0.0, 0.5) * np.array([1.0 - other, 1.0, 1.0 + other])
        self._sky = rng.uniform(0.2, 0.55)
        self._ground = self._sky * rng.uniform(0.3, 1.0)

    def diffuse(
        self, albedo_bgr: NDArray[np.float64], normals: NDArray[np.float64], openness: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Light that a surface scatters to all sides.

        Args:
            albedo_bgr: Reflected share `(N, 3)`.
            normals: Unit normals `(N, 3)`, world.
            openness: Share of the surroundings that each point sees `(N,)`.

        Returns:
            Radiance `(N, 3)`, 1 is white.
        """
        key = (normals @ self._key)[:, None]
        lit = np.clip((key + _WRAP_BGR) / (1.0 + _WRAP_BGR), 0.0, None) * self._key_bgr
        lit += np.clip(normals @ self._fill, 0.0, None)[:, None] * self._fill_bgr
        ambient = self._ground + (self._sky - self._ground) * (0.5 + 0.5 * normals[:, 2])
        # Crevices lose the room's light in full and part of the lamps'.
        light = lit * (0.35 + 0.65 * openness)[:, None] + (ambient * openness)[:, None]
        return np.asarray(albedo_bgr * light, dtype=np.float64)

    def highlight(
        self, normals: NDArray[np.float64], towards_eye: NDArray[np.float64], gloss: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Light that skin and nails mirror softly to the eye.

        Args:
            normals: Unit normals `(N, 3)`, world.
            towards_eye: Unit vectors to the camera `(N, 3)`, world.
            gloss: Strength `(N,)`.

        Returns:
            Radiance `(N,)`, the same for all colours.
        """
        half = towards_eye + self._key
        half /= np.sqrt(np.einsum("ni,ni->n", half, half))[:, None]
        facing = np.clip(np.einsum("ni,ni->n", half, normals), 0.0, None)
        return np.asarray(gloss * facing**_SHININESS, dtype=np.float64)


class Occlusion:
    """How much fingers and palm hide of each other's surroundings: every bone counts as a few balls.

    Args:
        skinning_weights: Share of each of MANO's joints in each vertex `(N, 16)`; a bone does not hide its own skin.
    """

    def __init__(self, skinning_weights: NDArray[np.float64]) -> None:
        own = skinning_weights[:, 1:].copy()
        for joint in range(1, 16):
            parent = MANO_PARENTS[joint]
            if parent > 0:
                own[:, joint - 1] = np.maximum(own[:, joint - 1], skinning_weights[:, parent])
        for joint in range(15, 0, -1):
            if MANO_PARENTS[joint] > 0:
                own[:, MANO_PARENTS[joint] - 1] = np.maximum(
                    own[:, MANO_PARENTS[joint] - 1], skinning_weights[:, joint]
                )
        self._counts = np.clip(1.0 - 2.0 * own, 0.0, 1.0)

    def openness(
        self, posed: PosedHand, vertices: NDArray[np.float64], normals: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Share of the surroundings that each vertex `(N, 3)` sees past the fingers `(N,)`, in [0.2, 1]."""
        joints = posed.joints
        # Canonical chains of four joints, bones in MANO's order: index, middle, little, ring, thumb.
        starts = (5, 9, 17, 13, 1)
        balls = np.concatenate([0.5 * (joints[s : s + 3] + joints[s + 1 : s + 4]) for s in starts])
        offsets = balls[None] - vertices[:, None]
        square = np.einsum("nbi,nbi->nb", offsets, offsets)
        cosine = np.clip(np.einsum("nbi,ni->nb", offsets, normals) / np.sqrt(square), 0.0, 1.0)
        hidden = cosine * np.minimum(_OCCLUDER_RADIUS_M**2 * 1.6 / square, 1.0) * self._counts
        return np.asarray(np.clip(1.0 - hidden.sum(axis=1), 0.2, 1.0), dtype=np.float64)


def _direction(azimuth: float, elevation: float) -> NDArray[np.float64]:
    """Unit vector `(3,)` in a world with +z up; azimuth 0 is +x, a quarter turn is +y."""
    return np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
