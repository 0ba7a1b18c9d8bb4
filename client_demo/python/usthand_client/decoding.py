"""Payloads to messages. Pure: no sockets, so that live streams, recordings and tests decode alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgpack
import numpy as np

from usthand_client.errors import DecodeError
from usthand_client.messages import (
    BoolArray,
    FloatArray,
    FrameSet,
    Hand,
    Hands,
    Hello,
    Mano,
    Message,
    Pong,
    Stamps,
)

PROTOCOL_VERSION: Final = 1

DEFAULT_COLUMNS: Final[Mapping[str, int]] = {
    "joints": 3,
    "orientations": 4,
    "vertices": 3,
    "covariance_mm2": 6,
    "image_landmarks": 3,
}
"""Numbers a row in the two-dimensional arrays that this client reads, unless a hello says otherwise."""

_T = TypeVar("_T")


class StreamDecoder:
    """Decodes one stream's payloads in their order; the hello says how wide the rows of arrays are.

    Attributes:
        hello: The newest hello; None before the first.
    """

    def __init__(self) -> None:
        self.hello: Hello | None = None

    def decode(self, payload: str | bytes) -> Message | None:
        """Decode one payload.

        Args:
            payload: Text is JSON, bytes are msgpack.

        Returns:
            The message; None for a kind of message that this client does not know, which a newer service may send.

        Raises:
            DecodeError: If the payload is not what the protocol says.
        """
        message = _unpacked(payload)
        if not isinstance(message, dict):
            raise DecodeError(f"a message is a {type(message).__name__}, not a map; is this the address of the stream?")
        match message.get("type"):
            case "hello":
                self.hello = _hello(message)
                return self.hello
            case "hands":
                return _hands(message, self.hello.array_columns if self.hello else DEFAULT_COLUMNS)
            case "pong":
                return Pong(message.get("t"), _item(message, "received_ns", int), _item(message, "sent_ns", int))
            case _:
                return None


def _unpacked(payload: str | bytes) -> Any:
    try:
        return json.loads(payload) if isinstance(payload, str) else msgpack.unpackb(payload)
    except (ValueError, RecursionError, TypeError, msgpack.UnpackException) as error:
        kind = "JSON" if isinstance(payload, str) else "msgpack"
        raise DecodeError(f"a message of {len(payload)} is not {kind}: {error}") from error


def _hello(message: Mapping[str, Any]) -> Hello:
    version = _item(message, "v", int)
    if version != PROTOCOL_VERSION:
        raise DecodeError(
            f"the service speaks protocol {version} and this client {PROTOCOL_VERSION}; install the usthand-client of "
            "the service's version"
        )
    columns = {**DEFAULT_COLUMNS, **_item(message, "array_columns", dict, {})}
    if bad := [name for name, count in columns.items() if not isinstance(count, int) or count < 1]:
        raise DecodeError(f"hello: array_columns of {bad[0]} is {columns[bad[0]]!r}, not a number of columns")
    return Hello(
        version=version,
        encoding=_item(message, "format", str),
        fields=tuple(_item(message, "fields", list)),
        dialect=_item(message, "dialect", str),
        units=_item(message, "units", str),
        axes=_item(message, "axes", str),
        joint_names=tuple(_item(message, "joint_names", list)),
        parents=tuple(_item(message, "parents", list)),
        array_columns=columns,
        model_id=_item(message, "model_id", str),
        calibration_id=_item(message, "calibration_id", str),
        server_ns=_item(message, "server_ns", int),
        up=_item(message, "up", str, "") or None,
        predict_ms=_number(message, "predict_ms", 0.0),
    )


def _hands(message: Mapping[str, Any], columns: Mapping[str, int]) -> Hands:
    frame_set = _item(message, "frame_set", dict)
    stamps = _item(message, "stamps_ns", dict)
    return Hands(
        sequence=_item(message, "seq", int),
        frame_set=FrameSet(
            _item(frame_set, "id", int),
            _number(frame_set, "skew_ms"),
            tuple(_item(frame_set, "views", list)),
            tuple(_item(frame_set, "masked", list, [])),
            tuple(_item(frame_set, "suspect", list, [])),
        ),
        stamps=Stamps(*(_item(stamps, name, int) for name in ("exposure", "received", "solved", "sent"))),
        calibration_id=_item(message, "calibration_id", str, ""),
        model_id=_item(message, "model_id", str, ""),
        hands=tuple(_hand(hand, columns) for hand in _item(message, "hands", list)),
        predicted_ms=_number(message, "predicted_ms", 0.0),
        ended=_item(message, "state", str, "") == "ended",
    )


def _hand(hand: Any, columns: Mapping[str, int]) -> Hand:
    if not isinstance(hand, dict):
        raise DecodeError(f"a hand is a {type(hand).__name__}, not a map")

    def rows(name: str) -> FloatArray | None:
        return _array(hand, name, lambda value: _floats(value, name, columns[name]))

    joints = rows("joints")
    mano = _item(hand, "mano", dict, {})
    return Hand(
        id=_item(hand, "id", int),
        side=_item(hand, "side", str),
        confidence=_number(hand, "confidence"),
        joints=joints,
        orientations_xyzw=rows("orientations"),
        radii=_array(hand, "radii", lambda value: _floats(value, "radii")),
        tracked=_array(hand, "tracked", lambda value: _flags(value, None if joints is None else len(joints))),
        covariance_mm2=rows("covariance_mm2"),
        mano=Mano(*(_floats(_item(mano, name, object), name) for name in ("pose", "shape", "translation")))
        if mano
        else None,
        vertices=rows("vertices"),
        reprojection_px=_item(hand, "reprojection_px", dict, {}),
        view_weight=_item(hand, "view_weight", dict, {}),
        origin_world=_array(hand, "origin_world", lambda value: _floats(value, "origin_world")),
        image_landmarks={
            view: _floats(value, "image_landmarks", columns["image_landmarks"])
            for view, value in _item(hand, "image_landmarks", dict, {}).items()
        },
        predicted_ms=_number(hand, "predicted_ms", 0.0),
    )


def _item(source: Mapping[str, Any], name: str, kind: type[_T], default: _T | None = None) -> _T:
    """Return an item that must be of a kind; where there is a default, it may be absent or null."""
    value = source.get(name)
    if value is None and default is not None:
        return default
    if value is None and name not in source:
        raise DecodeError(f"{_named(source)} lacks {name!r}; it has {', '.join(map(repr, source))}")
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise DecodeError(f"{_named(source)}: {name} is {value!r:.60}, not of type {kind.__name__}")
    return value


def _number(source: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = _item(source, name, object, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DecodeError(f"{_named(source)}: {name} is {value!r:.60}, not a number")
    return float(value)


def _named(source: Mapping[str, Any]) -> str:
    kind = source.get("type")
    return f"the message {kind!r}" if isinstance(kind, str) else "a part of a message"


def _array(hand: Mapping[str, Any], name: str, read: Callable[[Any], _T]) -> _T | None:
    value = hand.get(name)
    return None if value is None else read(value)


def _floats(value: Any, name: str, columns: int | None = None) -> FloatArray:
    """Read float32 of either encoding: little-endian bytes, or nested lists with null for what is not finite."""
    if isinstance(value, bytes):
        if len(value) % (4 * (columns or 1)):
            raise DecodeError(f"{name} has {len(value)} bytes, not a multiple of the {4 * (columns or 1)} of a row")
        array = np.frombuffer(value, "<f4").astype(np.float32, copy=False)
        return array if columns is None else array.reshape(-1, columns)
    try:
        array = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DecodeError(f"{name} is not an array of numbers: {error}") from error
    if columns is not None and not array.size:
        array = array.reshape(0, columns)
    if array.ndim != (1 if columns is None else 2) or (columns is not None and array.shape[1] != columns):
        raise DecodeError(f"{name} has the shape {array.shape}, not rows of {columns or 1}")
    array.flags.writeable = False
    return array


def _flags(value: Any, count: int | None) -> BoolArray:
    """Read booleans: a list, or bytes with one byte or one float32 a flag."""
    if isinstance(value, bytes):
        array = np.frombuffer(value, "<f4" if count and len(value) == 4 * count else "u1")
    else:
        array = np.asarray(value)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "bif"):
            raise DecodeError(f"tracked is {value!r:.60}, not a list of booleans")
    if count is not None and len(array) != count:
        raise DecodeError(f"tracked has {len(array)} flags for {count} joints")
    flags: BoolArray = np.asarray(array != 0, dtype=np.bool_)
    flags.flags.writeable = False
    return flags
