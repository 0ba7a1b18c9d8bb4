"""The stream's messages as frozen types. Arrays are read-only numpy arrays.

Positions are in the units and axes that `Hello.units` and `Hello.axes` say (metres for all dialects but `unreal`, which
is in centimetres); quaternions are x, y, z, w; covariances are square millimetres; times are nanoseconds of the
server's monotonic clock, which `ClockOffset` brings to this machine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Hello:
    """How the messages that follow are to be read.

    Args:
        version: Of the protocol.
        encoding: `json` or `msgpack`.
        fields: Parts of a hand that are sent.
        dialect: Its name.
        units: Units, in words.
        axes: Axes and origin, in words.
        joint_names: One name a joint.
        parents: Index of each joint's parent; -1 for the root.
        array_columns: Numbers a row in each two-dimensional array.
        model_id: What makes the hands.
        calibration_id: The calibration in force when the stream was opened.
        server_ns: When this was said.
        up: Which axis of the calibration's world the dialect takes for up, such as `-y`; None if it takes none.
        predict_ms: How far ahead of the exposure hands will be extrapolated.
    """

    version: int
    encoding: str
    fields: tuple[str, ...]
    dialect: str
    units: str
    axes: str
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    array_columns: Mapping[str, int]
    model_id: str
    calibration_id: str
    server_ns: int
    up: str | None = None
    predict_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class FrameSet:
    """The pictures behind a message.

    Args:
        id: Counts frame sets.
        skew_ms: Between its first and its last exposure.
        views: Cameras that took part.
        masked: Cameras that were left out, because their calibration no longer fits.
        suspect: Cameras that took part although one of them no longer fits: the hands may be wrong.
    """

    id: int
    skew_ms: float
    views: tuple[str, ...]
    masked: tuple[str, ...] = ()
    suspect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stamps:
    """A message's way through the service, nanoseconds of the server's monotonic clock.

    Args:
        exposure_ns: The frame set was exposed.
        received_ns: Its pictures were there.
        solved_ns: The hands were there.
        sent_ns: The message left.
    """

    exposure_ns: int
    received_ns: int
    solved_ns: int
    sent_ns: int


@dataclass(frozen=True, eq=False, slots=True)
class Mano:
    """MANO parameters, in the calibration's world frame whatever the dialect.

    Args:
        pose: Axis-angle `(48,)`, radians: global orientation, then 15 joints in MANO's order.
        shape: `(10,)`.
        translation: `(3,)`, metres.
    """

    pose: FloatArray
    shape: FloatArray
    translation: FloatArray


@dataclass(frozen=True, eq=False, slots=True)
class Hand:
    """One hand. What was not asked for, or what the dialect does not have, is None or empty.

    Args:
        id: Stays the same while the hand is tracked.
        side: `left` or `right`.
        confidence: In [0, 1].
        joints: Positions `(J, 3)`.
        orientations_xyzw: Global rotations `(J, 4)`.
        radii: Of the joints `(J,)`, in the dialect's unit of length.
        tracked: Which joints a view saw in this frame set `(J,)`; the others come from the hand model.
        covariance_mm2: Of each position `(J, 6)`: xx, xy, xz, yy, yz, zz.
        mano: Model parameters.
        vertices: The mesh `(N, 3)`, as `joints`.
        reprojection_px: By camera: how far its own 2D joints lie from this hand.
        view_weight: By camera: how far it was believed, in [0, 1].
        origin_world: `mediapipe` only: where the hand's centre is, world metres `(3,)`.
        image_landmarks: `mediapipe` only: by camera, landmarks in the picture `(J, 3)`.
        predicted_ms: How far ahead of the exposure this hand was extrapolated; 0 for a track too young for it.
    """

    id: int
    side: str
    confidence: float
    joints: FloatArray | None = None
    orientations_xyzw: FloatArray | None = None
    radii: FloatArray | None = None
    tracked: BoolArray | None = None
    covariance_mm2: FloatArray | None = None
    mano: Mano | None = None
    vertices: FloatArray | None = None
    reprojection_px: Mapping[str, float] = field(default_factory=dict)
    view_weight: Mapping[str, float] = field(default_factory=dict)
    origin_world: FloatArray | None = None
    image_landmarks: Mapping[str, FloatArray] = field(default_factory=dict)
    predicted_ms: float = 0.0


@dataclass(frozen=True, eq=False, slots=True)
class Hands:
    """The hands of one frame set; none when none is seen.

    Args:
        sequence: Counts the service's answers; a gap is answers that this client did not get.
        frame_set: What was seen.
        stamps: When.
        calibration_id: What it was solved with.
        model_id: What solved it.
        hands: The hands.
        predicted_ms: How far ahead of the exposure hands were asked for; see `Hand.predicted_ms` for each.
        ended: Whether the footage is over: there are no hands, and no message will follow.
    """

    sequence: int
    frame_set: FrameSet
    stamps: Stamps
    calibration_id: str
    model_id: str
    hands: tuple[Hand, ...]
    predicted_ms: float = 0.0
    ended: bool = False

    @property
    def pose_time_ns(self) -> int:
        """The instant that the message is for, server clock: the exposure, or what was predicted from it."""
        return self.stamps.exposure_ns + round(self.predicted_ms * 1e6)


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping.

    Args:
        t: What the ping said.
        received_ns: When the ping arrived, server clock.
        sent_ns: When this answer left, server clock.
    """

    t: int | float | str | None
    received_ns: int
    sent_ns: int


Message = Hello | Hands | Pong
