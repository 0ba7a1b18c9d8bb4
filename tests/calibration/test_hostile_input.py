"""Whatever bytes are uploaded, the answer is a rig or a `CalibrationError`."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration import CalibrationError
from calibration.files import MAX_BYTES, parse_calibration

SOUND: dict[str, Any] = {
    "schema": "usthand.calibration/1",
    "units": "m",
    "cameras": [
        {
            "id": "cam0",
            "width": 720,
            "height": 720,
            "model": "brown-conrady",
            "K": [[926.1, 0, 356.1], [0, 925.8, 355.2], [0, 0, 1]],
            "distortion": [0.1, 0, 0, 0, 0],
            "T_camera_world": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        }
    ],
}
SOUND_TOML = b"""[cameras.0]
cam_id = 0
size = [640, 480]
matrix = [[500.0, 0.0, 320.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]]
distortions = [-0.3, 0.05, 0.0, 0.0, 0.0]
translation = [0.1, 0.2, 0.7]
rotation = [0.1, 0.2, 0.3]
"""

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([10**400, 1e300, -0.0]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*SOUND, "id", "K"]) | st.text(), inner)
    ),
    max_leaves=12,
)


def parse(data: bytes, format: str) -> None:
    with contextlib.suppress(CalibrationError):
        parse_calibration(data, format)


@settings(max_examples=200)
@given(st.binary(max_size=200), st.sampled_from(["usthand", "caliscope"]))
def test_any_bytes(data: bytes, format: str) -> None:
    parse(data, format)


@settings(max_examples=200)
@given(values)
def test_any_json(content: Any) -> None:
    parse(json.dumps(content).encode("utf-8", "surrogatepass"), "usthand")


@settings(max_examples=300)
@given(st.data())
def test_any_value_in_any_place_of_a_sound_file(data: st.DataObject) -> None:
    content = json.loads(json.dumps(SOUND))
    place: Any = content
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(values)
    parse(json.dumps(content).encode("utf-8", "surrogatepass"), "usthand")


@settings(max_examples=300)
@given(
    st.sampled_from([(json.dumps(SOUND).encode(), "usthand"), (SOUND_TOML, "caliscope")]),
    st.integers(0, 10_000),
    st.integers(0, 12),
    st.binary(max_size=12) | st.text("0123456789.[]{}\"'#\\,=-+eEinfa \n_:", max_size=12).map(str.encode),
)
def test_any_splice_into_a_sound_file(sound: tuple[bytes, str], at: int, cut: int, put: bytes) -> None:
    data, format = sound
    at %= len(data)
    parse(data[:at] + put + data[at + cut :], format)


def filled(unit: bytes, head: bytes = b"", tail: bytes = b"") -> bytes:
    return head + unit * ((MAX_BYTES - len(head) - len(tail)) // len(unit)) + tail


@pytest.mark.parametrize(
    ("data", "format"),
    [
        (filled(b"{},", b'{"cameras":[', b"{}]}"), "usthand"),
        (filled(b'"a":1,', b"{", b'"a":1}'), "usthand"),
        (filled(b'"\\"'), "usthand"),
        (filled(b"[1,", b'{"cameras":'), "usthand"),
        (b"{" + b",".join(b'"%x":1' % (i // 2) for i in range(90_000)) + b"}", "usthand"),
        (filled(b'"""\\"'), "caliscope"),
        (filled(b'"\\"\\"'), "caliscope"),
        (filled(b"'''a''"), "caliscope"),
        (filled(b"a.", b"[", b"a]"), "caliscope"),
        (filled(b"a.", b"", b"a=1"), "caliscope"),
        (filled(b"'a' .", b"", b"a=1"), "caliscope"),
        (filled(b"[", b"a="), "caliscope"),
        (filled(b"{a=", b"a="), "caliscope"),
        (b"\n".join(b"[cameras.%x]" % i for i in range(50_000)), "caliscope"),
        (filled(b"9", b"a="), "caliscope"),
    ],
    ids=range(15),
)
def test_a_megabyte_made_to_hurt_is_answered_in_seconds(data: bytes, format: str) -> None:
    start = time.monotonic()
    with pytest.raises(CalibrationError) as caught:
        parse_calibration(data, format)
    assert time.monotonic() - start < 10  # a quadratic parser takes minutes
    assert len(str(caught.value)) < 2000
