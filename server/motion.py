"""What is known of each track's motion: its last answers, its speed, and where it will be shortly.

A hand is predicted as its wrist and the turns of its sixteen joints, each by a constant velocity that fades, so that
bones keep their lengths and the model's parameters, the joints and the mesh say the same. Velocities are the slopes of
straight lines through the last few answers, since those of two answers are mostly noise. `benchmarks.prediction`
measures it; against extrapolating every joint for itself it is as good up to 50 ms and better at 100 ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.hand_model.rotations import (
    axis_angle_from_matrix,
    matrix_from_axis_angle,
    quaternion_from_matrix,
)
from engine.types import HandPose
from server.dialects.xr_rest import MANO_OF_CANONICAL
from server.solved import Solved

LONGEST_PREDICTION_MS: Final = 100

_REMEMBERED: Final = 4
_LONGEST_GAP_S: Final = 0.25
_FADING_S: Final = 0.2
# What a constant velocity misses: root mean square acceleration of the joints of `engine.synthetic.motion`, an axis.
_ACCELERATION_M_S2: Final = 1.0


@dataclass(frozen=True, eq=False, slots=True)
class Sighting:
    """A track in one answer.

    Args:
        exposure_ns: When it was seen, monotonic clock.
        hand: What was seen.
    """

    exposure_ns: int
    hand: HandPose


@dataclass(frozen=True, eq=False, slots=True)
class TrackMotion:
    """The last answers of one track, without a gap.

    Args:
        first_ns: When the track was first seen since it was last lost, monotonic clock.
        sightings: The last few, oldest first; the last is the newest answer.
    """

    first_ns: int
    sightings: tuple[Sighting, ...]

    @property
    def predictable(self) -> bool:
        """Whether the track was seen often enough to have a velocity."""
        return len(self.sightings) > 1

    def joint_velocity(self) -> NDArray[np.float64]:
        """Velocity of each canonical joint `(21, 3)`, metres a second; zero for a track seen once."""
        return self._slope(np.stack([sighting.hand.joints_world for sighting in self.sightings]))

    def predicted(self, horizon_s: float) -> HandPose:
        """Say where the hand will be so long after its last exposure; a track seen once stays where it is.

        The covariance grows by what the velocity's own error adds and by what an unforeseen acceleration would.
        """
        hand = self.sightings[-1].hand
        if not self.predictable or horizon_s <= 0.0:
            return hand
        reach_s = _FADING_S * -np.expm1(-horizon_s / _FADING_S)
        shift = reach_s * self._slope(np.stack([sighting.hand.joints_world[0] for sighting in self.sightings]))
        local = _local_rotations(hand)
        turns = np.stack([_turn(local, _local_rotations(sighting.hand)) for sighting in self.sightings])
        turned = matrix_from_axis_angle(reach_s * self._slope(turns)) @ local
        posed = hand.posed.shaped.posed_from_rotations(turned, hand.translation + shift)
        # What the answer's joints were beside the model's they still are, carried along by their bones.
        before, after = hand.posed.rotations[MANO_OF_CANONICAL], posed.rotations[MANO_OF_CANONICAL]
        beside = np.einsum("jki,jk->ji", before, hand.joints_world - hand.posed.joints)
        return replace(
            hand,
            joints_world=posed.joints + np.einsum("jik,jk->ji", after, beside),
            covariance_mm2=self._grown(hand.covariance_mm2, reach_s, horizon_s),
            pose=axis_angle_from_matrix(turned).ravel(),
            translation=hand.translation + shift,
            orientations_xyzw=quaternion_from_matrix(posed.rotations)[MANO_OF_CANONICAL],
            posed=posed,
        )

    def _times_s(self) -> NDArray[np.float64]:
        """Exposures about their mean."""
        newest_ns = self.sightings[-1].exposure_ns
        times_s = np.array([sighting.exposure_ns - newest_ns for sighting in self.sightings]) * 1e-9
        centred: NDArray[np.float64] = times_s - times_s.mean()
        return centred

    def _slope(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Slope of the line through values `(N, ...)` at the sightings, a second."""
        times_s = self._times_s()
        slope: NDArray[np.float64] = np.tensordot(times_s, values, axes=1) / max(float(times_s @ times_s), 1e-12)
        return slope

    def _grown(self, covariance_mm2: NDArray[np.float64], reach_s: float, horizon_s: float) -> NDArray[np.float64]:
        times_s = self._times_s()
        unforeseen_mm = 1e3 * 0.5 * _ACCELERATION_M_S2 * horizon_s**2
        measured: NDArray[np.float64] = (1.0 + reach_s**2 / float(times_s @ times_s)) * covariance_mm2
        return measured + unforeseen_mm**2 * np.eye(3)


class MotionHistory:
    """Keeps the last answers of the tracks in the newest one; a track that is missing once is forgotten."""

    def __init__(self) -> None:
        self._rig_id = ""
        self._tracks: Mapping[int, TrackMotion] = {}

    def add(self, solved: Solved) -> Mapping[int, TrackMotion]:
        """Take in the next answer.

        Returns:
            The motion of each hand in it, by the hand's id.
        """
        exposure_ns = solved.frame_set.timestamp_ns
        known = self._tracks if solved.rig.id == self._rig_id else {}
        self._rig_id = solved.rig.id
        self._tracks = {hand.id: _continued(known.get(hand.id), exposure_ns, hand) for hand in solved.hands}
        return self._tracks


def _continued(known: TrackMotion | None, exposure_ns: int, hand: HandPose) -> TrackMotion:
    sighting = Sighting(exposure_ns, hand)
    if known is not None:
        gap_s = (exposure_ns - known.sightings[-1].exposure_ns) * 1e-9
        if 0.0 < gap_s <= _LONGEST_GAP_S and known.sightings[-1].hand.side == hand.side:
            return TrackMotion(known.first_ns, (*known.sightings[1 - _REMEMBERED :], sighting))
    return TrackMotion(exposure_ns, (sighting,))


def _local_rotations(hand: HandPose) -> NDArray[np.float64]:
    return matrix_from_axis_angle(hand.pose.reshape(16, 3))


def _turn(now: NDArray[np.float64], then: NDArray[np.float64]) -> NDArray[np.float64]:
    """The turns `(16, 3)` from now back to then, axis-angle."""
    return axis_angle_from_matrix(then @ now.transpose(0, 2, 1))
