"""Moving hands as a landmark network sees them in every view, without a picture: projected joints, with its errors.

The errors are of three kinds, as those of real networks are: every joint by itself in every frame, all joints of a hand
together for a while, and habits, which are a view's own idea of where a joint is on the hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from calibration.drift import Sighting
from engine.hand_model import HandModel, Side
from engine.hand_model.rotations import matrix_from_axis_angle
from engine.synthetic.motion import HandMotion

_PALM_M: Final = 0.095
_SIDES: Final[tuple[Side, ...]] = ("right", "left")
_APART_M: Final = 0.12


@dataclass(frozen=True, slots=True)
class SeeingErrors:
    """How wrong a landmark network is; lengths as shares of the palm's, standard deviations.

    Args:
        joint: Of each joint in each frame.
        hand: Of all joints of a hand together.
        hand_s: For about how long that stays.
        habit: Of a view's idea of each joint, on the hand, for good.
        missed: Share of frames in which a view does not find the hand.
        astray: Share of frames in which a view finds something else, about a palm away.
    """

    joint: float = 0.012
    hand: float = 0.012
    hand_s: float = 0.4
    habit: float = 0.02
    missed: float = 0.05
    astray: float = 0.01


@dataclass(frozen=True, eq=False, slots=True)
class SeenJoints:
    """The hands of one frame set.

    Args:
        time_s: When.
        sightings: What the views saw.
    """

    time_s: float
    sightings: tuple[Sighting, ...]


def seen_joints(
    rig: Rig,
    seconds: float,
    seed: int,
    *,
    hands: int = 2,
    rate_hz: float = 30.0,
    errors: SeeingErrors | None = None,
    older_s: Mapping[str, float] | None = None,
    start_s: float = 0.0,
) -> Iterator[SeenJoints]:
    """Let hands move before a rig.

    Args:
        rig: The cameras as they really stand; swap it between two calls to bump one.
        seconds: For how long.
        seed: Equal seeds give equal hands and habits.
        hands: One or two.
        rate_hz: Frame sets a second.
        errors: How wrong the views are.
        older_s: How much older a camera's pictures are than their stamps say, by camera id.
        start_s: From where on in the hands' motion.

    Yields:
        Frame sets in order.
    """
    errors = errors or SeeingErrors()
    older = np.array([(older_s or {}).get(camera_id, 0.0) for camera_id in rig.camera_ids])
    habits = np.random.default_rng([seed, 1]).normal(0.0, errors.habit * _PALM_M, (len(rig), 21, 3))
    rng = np.random.default_rng([seed, 2, round(1e3 * start_s)])
    actors = [_Actor(seed, side, index, hands) for index, side in enumerate(_SIDES[:hands])]
    together = np.zeros((hands, len(rig), 2))
    kept = float(np.exp(-1.0 / (rate_hz * errors.hand_s)))
    for number in range(round(seconds * rate_hz)):
        time_s = start_s + number / rate_hz
        together = kept * together + np.sqrt(1 - kept**2) * rng.normal(0.0, errors.hand, together.shape)
        stamps_ns = np.full(len(rig), round(time_s * 1e9), dtype=np.int64)
        yield SeenJoints(
            time_s,
            tuple(
                Sighting(index + 1, _seen(rig, actor, time_s - older, habits, together[index], errors, rng), stamps_ns)
                for index, actor in enumerate(actors)
            ),
        )


class _Actor:
    """One hand."""

    def __init__(self, seed: int, side: Side, index: int, hands: int) -> None:
        center = (0.0,) * 3 if hands == 1 else ((_APART_M, 0.0, 0.0) if index == 0 else (-_APART_M, 0.0, 0.0))
        self._motion = HandMotion(seed, side, center, reach_m=(0.09, 0.09, 0.08))
        self._shaped = HandModel.load(side=side).with_shape(np.zeros(10))

    def at(self, time_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Joints `(21, 3)` in the world and the hand's rotation `(3, 3)`."""
        sample = self._motion.at(time_s)
        joints = self._shaped.posed(sample.pose, sample.translation(self._shaped)).joints
        return joints, matrix_from_axis_angle(sample.pose[:3])


def _seen(
    rig: Rig,
    actor: _Actor,
    times_s: NDArray[np.float64],
    habits: NDArray[np.float64],
    together: NDArray[np.float64],
    errors: SeeingErrors,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    keypoints = np.full((len(rig), 21, 2), np.nan)
    posed = {time_s: actor.at(max(0.0, float(time_s))) for time_s in set(times_s.tolist())}
    for view, camera in enumerate(rig):
        joints, R = posed[float(times_s[view])]
        pixels = camera.project(joints + habits[view] @ R.T)
        palm_px = camera.K[0, 0] * _PALM_M / float(camera.to_camera(joints)[:, 2].mean())
        if not camera.contains(pixels).all() or rng.random() < errors.missed:
            continue
        wrong = palm_px * rng.normal(0.0, 1.0, 2) if rng.random() < errors.astray else np.zeros(2)
        keypoints[view] = pixels + palm_px * (together[view] + rng.normal(0.0, errors.joint, (21, 2))) + wrong
    return keypoints
