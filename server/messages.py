"""The messages of the stream as plain maps; `server.encoding` turns them into bytes.

Arrays stay numpy arrays in these maps, so that each encoding can write them its own way: nested lists of rounded
numbers in JSON, little-endian float32 in row order in msgpack.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from engine.types import HandPose
from server.dialects.base import Dialect
from server.solved import Solved

PROTOCOL_VERSION: Final = 1

SCHEMA_ID: Final = "usthand.stream/1.2"
"""Names the schema of the messages; the number after the point rises with what is added to them."""

FIELDS: Final = ("joints", "mano", "vertices", "covariance", "stats")
"""What a client may ask for of each hand; id, side and confidence always come."""

DEFAULT_FIELDS: Final = frozenset({"joints", "mano", "covariance", "stats"})

ARRAY_COLUMNS: Final[Mapping[str, int]] = {
    "joints": 3,
    "orientations": 4,
    "vertices": 3,
    "covariance_mm2": 6,
    "image_landmarks": 3,
}
"""Numbers a row in each two-dimensional array: what a msgpack client needs to cut the rows."""

_UPPER: Final = np.triu_indices(3)


def hands_message(
    solved: Solved,
    fields: frozenset[str],
    dialect: Dialect,
    *,
    sent_ns: int = 0,
    vertices_world: Callable[[HandPose], NDArray[np.float64]] = lambda hand: hand.vertices_world,
    predict_ms: int = 0,
    predictable: frozenset[int] = frozenset(),
) -> dict[str, Any]:
    """Build the `hands` message of one answer.

    Args:
        solved: The answer, already moved to the time that it is for.
        fields: Some of `FIELDS`.
        dialect: How to say it.
        sent_ns: The stamp of sending.
        vertices_world: Gives a hand's mesh; only called when vertices are asked for.
        predict_ms: How long after the exposure the message is for.
        predictable: Ids of the hands that could be moved there; the others are where they were seen.

    Returns:
        The message, arrays as numpy arrays.
    """
    frame_set = solved.frame_set
    views: dict[str, Any] = {"views": list(solved.view_ids)}
    for name, cameras in (("masked", solved.masked), ("suspect", solved.suspect)):
        if cameras:
            views[name] = sorted(cameras)
    # Nothing was exposed for the end, which has an instant all the same: that from which there are no hands.
    exposure_ns, received_ns = (
        (solved.solved_ns, solved.solved_ns) if solved.ended else (frame_set.timestamp_ns, frame_set.received_ns)
    )
    hands = []
    for hand in solved.hands:
        said = _hand_map(hand, solved.rig, fields, dialect, vertices_world)
        if predict_ms:
            said["predicted_ms"] = predict_ms if hand.id in predictable else 0
        hands.append(said)
    return {
        "type": "hands",
        "v": PROTOCOL_VERSION,
        "seq": solved.sequence,
        "state": "ended" if solved.ended else "running",
        "frame_set": {
            "id": frame_set.id,
            "skew_ms": 0.0 if solved.ended else round(frame_set.skew_ms, 3),
            **views,
        },
        "stamps_ns": {
            "exposure": exposure_ns,
            "received": received_ns,
            "solved": solved.solved_ns,
            "sent": sent_ns,
        },
        "predicted_ms": predict_ms,
        "calibration_id": solved.rig.id,
        "model_id": solved.model_id,
        "hands": hands,
    }


def hello_message(
    rig: Rig,
    model_id: str,
    dialect: Dialect,
    *,
    encoding: str,
    fields: frozenset[str],
    predict_ms: int = 0,
    max_hz: float | None = None,
    masked: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Build the message that opens a stream: what the client chose, and how to read what follows.

    `masked` cameras are left out of its `views`, as they are out of those of the messages.
    """
    return {
        "type": "hello",
        "v": PROTOCOL_VERSION,
        "schema": SCHEMA_ID,
        "format": encoding,
        "fields": [name for name in FIELDS if name in fields],
        "predict_ms": predict_ms,
        "max_hz": max_hz,
        **skeleton_map(dialect, rig),
        "array_columns": dict(ARRAY_COLUMNS),
        "model_id": model_id,
        "calibration_id": rig.id,
        "views": [camera_id for camera_id in rig.camera_ids if camera_id not in masked],
        "server_ns": time.monotonic_ns(),
    }


def skeleton_map(dialect: Dialect, rig: Rig) -> dict[str, Any]:
    """Describe a dialect's joints, units and axes."""
    skeleton = dialect.skeleton(rig)
    return {
        "dialect": skeleton.dialect,
        "units": skeleton.units,
        "axes": skeleton.axes,
        "up": skeleton.up,
        "joint_names": list(skeleton.joint_names),
        "parents": list(skeleton.parents),
    }


def _hand_map(
    hand: HandPose,
    rig: Rig,
    fields: frozenset[str],
    dialect: Dialect,
    vertices_world: Callable[[HandPose], NDArray[np.float64]],
) -> dict[str, Any]:
    result: dict[str, Any] = {"id": hand.id, "side": hand.side, "confidence": round(float(hand.confidence), 4)}
    said = dialect.hand(hand, rig) if fields & {"joints", "covariance"} else None
    if said is not None and "joints" in fields:
        result |= {
            "joints": said.joints,
            "orientations": said.orientations_xyzw,
            "radii": said.radii,
            "tracked": said.tracked.tolist(),
            **said.extra,
        }
    if "mano" in fields:
        result["mano"] = {"pose": hand.pose, "shape": hand.shape, "translation": hand.translation}
    if "vertices" in fields:
        result["vertices"] = dialect.points(vertices_world(hand), hand, rig)
    if said is not None and "covariance" in fields:
        result["covariance_mm2"] = said.covariance_mm2[:, *_UPPER]
    if "stats" in fields:
        result["reprojection_px"] = _by_view(rig, hand.reprojection_px)
        result["view_weight"] = _by_view(rig, hand.view_weight)
    return result


def _by_view(rig: Rig, values: NDArray[np.float64]) -> dict[str, float]:
    """Name the values by their cameras, leaving out views that have none."""
    return {
        camera_id: round(float(value), 3)
        for camera_id, value in zip(rig.camera_ids, values, strict=True)
        if np.isfinite(value)
    }
