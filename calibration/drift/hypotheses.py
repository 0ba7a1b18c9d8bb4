"""Explanations of what the hands say, each fitted to the same evidence: this camera, and no other, was moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.drift.evidence import NOISE_OF_PALM, PARAMETERS, Evidence

# What a bump is like before anything is seen of it.
_TURN_PRIOR_RAD: Final = np.radians(2.0)
_MOVE_PRIOR_M: Final = 0.003
_PLACE: Final = 6
_LOUD_MOMENT: Final = 2.5
# Joints of one sighting err together, and so do sightings of one moment: so many joints count as one.
JOINTS_AS_ONE: Final = 50.0


@dataclass(frozen=True, eq=False, slots=True)
class Explanation:
    """One camera blamed for everything.

    Args:
        view: Which.
        correction: `(7,)`: turn (rad) and move (m) that its `T_camera_world` lacks; no delay.
        gain: How much better it explains what was seen than no change does, its own unlikelihood deducted.
        shift_of_palm: How far it moves the joints that the view saw, where the other views can tell, as a share of
            the palm's length: rms.
        coherence: In [0, 1]: how alike the moments ask for it. Chance makes about 1 / sqrt(moments).
    """

    view: int
    correction: NDArray[np.float64]
    gain: float
    shift_of_palm: float
    coherence: float

    @property
    def turned_deg(self) -> float:
        """How far the camera turned, degrees."""
        return float(np.degrees(np.linalg.norm(self.correction[:3])))

    @property
    def moved_mm(self) -> float:
        """How far the camera moved, millimetres."""
        return float(np.linalg.norm(self.correction[3:6])) * 1e3


def calmed(moments: Sequence[Evidence]) -> list[Evidence]:
    """Let moments that misfit far more than the others do pull no stronger: another hand may be in them."""
    misfit = np.array([moment.cost / max(moment.rows, 1.0) for moment in moments])
    limit = _LOUD_MOMENT * max(float(np.median(misfit)), 1e-9)
    return [m if own <= limit else m.scaled(limit / own) for m, own in zip(moments, misfit.tolist(), strict=True)]


def shift_of_palm(moments: Sequence[Evidence], view: int, correction: NDArray[np.float64]) -> float:
    """How far a correction `(7,)` of a camera shifts joints, where other views can tell: rms, a share of the palm."""
    own = slice(view * PARAMETERS, (view + 1) * PARAMETERS)
    squared = sum(float(correction @ part.normal[own, own] @ correction) for part in moments)
    joints = sum(float(part.joints[view]) for part in moments)
    return NOISE_OF_PALM * float(np.sqrt(max(squared, 0.0) / max(joints, 1.0)))


def moved(moments: Sequence[Evidence], view: int, usual: NDArray[np.float64] | None = None) -> Explanation:
    """Blame a camera's place.

    Args:
        moments: The evidence, a part a moment: parts are believed to err independently.
        view: The camera.
        usual: The correction `(7,)` that the hands ask for always, by habits of the landmark network; None is none.
    """
    own = np.arange(view * PARAMETERS, view * PARAMETERS + _PLACE)
    normals = np.stack([part.normal[np.ix_(own, own)] for part in moments])
    gradients = np.stack([part.gradient[own] for part in moments])
    if usual is not None:
        gradients = gradients - normals @ usual[:_PLACE]
    normal, gradient = normals.sum(axis=0), gradients.sum(axis=0)
    prior = np.diag([1 / _TURN_PRIOR_RAD**2] * 3 + [1 / _MOVE_PRIOR_M**2] * 3)
    found = np.linalg.solve(normal / JOINTS_AS_ONE + prior, gradient / JOINTS_AS_ONE)
    votes = gradients @ found
    loudness = float(np.sqrt(len(votes) * (votes**2).sum()))
    correction = np.zeros(PARAMETERS)
    correction[:_PLACE] = found
    return Explanation(
        view=view,
        correction=correction,
        gain=float(found @ gradient),
        shift_of_palm=shift_of_palm(moments, view, correction),
        coherence=max(0.0, float(votes.sum())) / loudness if loudness > 0 else 0.0,
    )
