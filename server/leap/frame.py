"""One answer as a frame of Leap's JSON protocol.

Names and meanings are those of leapjs 1.1.1, the numbers' conventions those of the frames recorded in its tests. Bases
are three axes, one a row: x across, y out of the back of the hand, z back along the bone; for a left hand x is turned
round, so that its bases are left-handed. A thumb's metacarpal has no length, and its other three bones are those that
the protocol calls proximal, medial and distal. `btipPosition` is the end of the finger, `tipPosition` the middle of the
sphere that fills its end.

What is not observed is said so here: the forearm goes straight on from the hand, nothing is stabilised, nothing is
touched, hands do not scale. Numbers are rounded to 0.1 micrometres. A hand with a joint that is not a number is left
out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calibration.up import Up
from engine.types import HandPose
from server.dialects.xr_joints import is_whole, xr_joints
from server.dialects.xr_rest import BLEND, FINGER_METACARPALS, PALM, TIPS, WRIST
from server.leap.gestures import Gestures, gestures
from server.leap.space import BOX_SIZE_MM, MIDDLE_MM, LeapSpace
from server.motion import TrackMotion
from server.outgoing import Outgoing

# The 26 joints at which a finger's bones begin, from metacarpal to distal; a thumb's first two begin at the same.
_BONE_STARTS: Final = ((2, 2, 3, 4), *((base, base + 1, base + 2, base + 3) for base in FINGER_METACARPALS))
_CANONICAL_TIPS: Final = (4, 8, 12, 16, 20)
_FOREARM_MM: Final = 250.0
_LEAST_SPHERE_MM: Final = 30.0
_DECIMALS: Final = 4


def frame_bytes(outgoing: Outgoing, up: Up, rate_hz: float) -> bytes:
    """Encode an answer.

    Args:
        outgoing: The answer, with its hands' motion.
        up: Which axis of the calibration's world points up.
        rate_hz: Answers a second.
    """
    solved = outgoing.solved
    space = LeapSpace(solved.rig, up)
    hands, pointables = [], []
    for hand in solved.hands:
        if is_whole(hand):
            seen = _LeapHand.of(hand, outgoing.motion[hand.id], space)
            shape = seen.shape()
            hands.append(_hand_map(seen, shape))
            pointables += _pointables(seen, shape)
    middle = np.mean([hand["palmPosition"] for hand in hands], axis=0) if hands else np.zeros(3)
    frame = {
        "currentFrameRate": _rounded(rate_hz),
        "hands": hands,
        "id": solved.sequence,
        "interactionBox": {"center": MIDDLE_MM, "size": BOX_SIZE_MM},
        "pointables": pointables,
        "r": np.eye(3).tolist(),
        "s": 0.0,
        "t": middle,
        "timestamp": solved.frame_set.timestamp_ns // 1000,
    }
    return json.dumps(frame, separators=(",", ":"), default=_rounded_rows).encode()


@dataclass(frozen=True, eq=False, slots=True)
class _LeapHand:
    """One hand in Leap's frame; joints are OpenXR's 26.

    Args:
        hand: What it was made of.
        positions_mm: Joints `(26, 3)`.
        ends_mm: Ends of the five fingers `(5, 3)`, on the skin.
        velocity_mm_s: Of the canonical joints `(21, 3)`, millimetres a second.
        rotations: From each joint's axes to Leap's `(26, 3, 3)`.
        radii_mm: `(26,)`.
        visible_s: For how long the hand has been seen.
    """

    hand: HandPose
    positions_mm: NDArray[np.float64]
    ends_mm: NDArray[np.float64]
    velocity_mm_s: NDArray[np.float64]
    rotations: NDArray[np.float64]
    radii_mm: NDArray[np.float64]
    visible_s: float

    @classmethod
    def of(cls, hand: HandPose, motion: TrackMotion, space: LeapSpace) -> _LeapHand:
        joints = xr_joints(hand)
        return cls(
            hand=hand,
            positions_mm=space.points_mm(joints.positions_world),
            ends_mm=space.points_mm(hand.joints_world[list(_CANONICAL_TIPS)]),
            velocity_mm_s=space.vectors_mm(motion.joint_velocity()),
            rotations=space.rotations(joints.rotations_world),
            radii_mm=1e3 * joints.radii_m,
            visible_s=_rounded((motion.sightings[-1].exposure_ns - motion.first_ns) * 1e-9),
        )

    @property
    def bases(self) -> NDArray[np.float64]:
        """Axes of each joint as rows `(26, 3, 3)`; a left hand's x is turned round."""
        mirror = np.array([[-1.0], [1.0], [1.0]]) if self.hand.side == "left" else 1.0
        return np.asarray(self.rotations.transpose(0, 2, 1) * mirror, dtype=np.float64)

    @property
    def directions(self) -> NDArray[np.float64]:
        """Of each joint's bone, towards the tip `(26, 3)`, unit."""
        return np.asarray(-self.rotations[:, :, 2], dtype=np.float64)

    def shape(self) -> Gestures:
        """Which fingers are extended, and so on."""
        directions = self.directions
        bones = np.stack([directions[list(starts[1:])] for starts in _BONE_STARTS])
        return gestures(directions[PALM], bones, self.positions_mm[list(TIPS)])


def _hand_map(seen: _LeapHand, shape: Gestures) -> dict[str, Any]:
    positions_mm, radii_mm, directions = seen.positions_mm, seen.radii_mm, seen.directions
    palm_mm, wrist_mm, normal = positions_mm[PALM], positions_mm[WRIST], -seen.rotations[PALM, :, 1]
    first, last = FINGER_METACARPALS[0] + 1, FINGER_METACARPALS[-1] + 1
    width_mm = np.linalg.norm(positions_mm[first] - positions_mm[last]) + radii_mm[first] + radii_mm[last]
    reach_mm = np.linalg.norm(positions_mm[list(TIPS)] - palm_mm, axis=1)
    sphere_mm = max(_LEAST_SPHERE_MM, float(reach_mm.mean()) / 2)
    return {
        "armBasis": seen.bases[WRIST],
        "armWidth": _rounded(2 * radii_mm[WRIST]),
        "confidence": _rounded(seen.hand.confidence),
        "direction": directions[PALM],
        "elbow": wrist_mm - _FOREARM_MM * directions[WRIST],
        "grabAngle": _rounded(shape.grab_angle),
        "grabStrength": _rounded(shape.grab_strength),
        "id": seen.hand.id,
        "palmNormal": normal,
        "palmPosition": palm_mm,
        "palmVelocity": BLEND[PALM] @ seen.velocity_mm_s,
        "palmWidth": _rounded(width_mm),
        "pinchDistance": _rounded(shape.pinch_distance_mm),
        "pinchStrength": _rounded(shape.pinch_strength),
        "r": seen.rotations[PALM].T,
        "s": 0.0,
        "sphereCenter": palm_mm + sphere_mm * normal,
        "sphereRadius": _rounded(sphere_mm),
        "stabilizedPalmPosition": palm_mm,
        "t": palm_mm,
        "timeVisible": seen.visible_s,
        "type": seen.hand.side,
        "wrist": wrist_mm,
    }


def _pointables(seen: _LeapHand, shape: Gestures) -> list[dict[str, Any]]:
    bases, directions = seen.bases, seen.directions
    pointables = []
    for kind, starts in enumerate(_BONE_STARTS):
        carpal, knuckle, middle, end = (seen.positions_mm[start] for start in starts)
        tip = seen.positions_mm[TIPS[kind]]
        pointables.append(
            {
                "bases": bases[list(starts)],
                "btipPosition": seen.ends_mm[kind],
                "carpPosition": carpal,
                "dipPosition": end,
                "direction": directions[starts[2]],
                "extended": bool(shape.extended[kind]),
                "handId": seen.hand.id,
                "id": 10 * seen.hand.id + kind,
                "length": _rounded(_visible_mm(kind, np.array([knuckle, middle, end, tip]))),
                "mcpPosition": knuckle,
                "pipPosition": middle,
                "stabilizedTipPosition": tip,
                "timeVisible": seen.visible_s,
                "tipPosition": tip,
                "tipVelocity": seen.velocity_mm_s[_CANONICAL_TIPS[kind]],
                "tool": False,
                "touchDistance": 1.0,
                "touchZone": "none",
                "type": kind,
                "width": _rounded(2 * seen.radii_mm[starts[2] if kind else starts[3]]),
            }
        )
    return pointables


def _visible_mm(kind: int, chain_mm: NDArray[np.float64]) -> float:
    """Length of what is seen of a finger `(4, 3)`: from the middle of its proximal bone, of a thumb its last two."""
    bones_mm = np.linalg.norm(np.diff(chain_mm, axis=0), axis=1)
    return float(bones_mm[1:].sum() + (bones_mm[0] / 2 if kind else 0.0))


def _rounded(value: np.floating[Any] | float) -> float:
    return round(float(value), _DECIMALS)


def _rounded_rows(array: NDArray[np.float64]) -> Any:
    return np.round(array, _DECIMALS).tolist()
