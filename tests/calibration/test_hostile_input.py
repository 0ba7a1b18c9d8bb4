"""Whatever bytes are uploaded, the answer is a rig or a `CalibrationError`."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration import CalibrationError, Rig
from calibration.files import FILE_FORMATS, MAX_BYTES, calibration_to_dict, parse_calibration
from calibration.formats import anipose, kalibr, multical, opencv
from calibration.plausibility import suspicions

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


_SOUND_RIG = parse_calibration(json.dumps(SOUND).encode())
FOREIGN = {
    "anipose": anipose.rig_to_toml(_SOUND_RIG, 0.001).encode(),
    "hanco": json.dumps({"K": [SOUND["cameras"][0]["K"]], "M": [SOUND["cameras"][0]["T_camera_world"]]}).encode(),
    "kalibr": kalibr.rig_to_yaml(_SOUND_RIG).encode(),
    "multical": multical.rig_to_json(_SOUND_RIG, 0.001).encode(),
    "opencv": opencv.rig_to_yaml(_SOUND_RIG).encode(),
}
UNITLESS = ("anipose", "multical")


SPOILED = [(json.dumps(SOUND).encode(), "usthand"), (SOUND_TOML, "caliscope"), *((d, f) for f, d in FOREIGN.items())]
POINTS = np.random.default_rng(0).uniform(-2, 2, (40, 3))


def read(data: bytes, format: str) -> Rig:
    size = (720, 720) if format == "hanco" else None
    return parse_calibration(data, format, "mm" if format in UNITLESS else None, size=size)


def parse(data: bytes, format: str) -> None:
    """Read what is a calibration or refused as none; what is read can be used, and written and read again."""
    try:
        rig = read(data, format)
    except CalibrationError:
        return
    pixels = rig.project(POINTS)
    assert not np.isinf(pixels).any()
    for camera, own in zip(rig, pixels, strict=True):
        camera.unproject(own)
    suspicions(rig)
    assert parse_calibration(json.dumps(calibration_to_dict(rig)).encode()).id == rig.id


@pytest.mark.parametrize(("data", "format"), SPOILED, ids=[format for _, format in SPOILED])
def test_what_is_spoiled_below_is_sound(data: bytes, format: str) -> None:
    assert len(read(data, format)) == 1


@settings(max_examples=200)
@given(st.binary(max_size=200), st.sampled_from(FILE_FORMATS))
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
    st.sampled_from(SPOILED),
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
        (filled(b"[", b"a: "), "kalibr"),
        (filled(b"- "), "kalibr"),
        (filled(b"a: "), "kalibr"),
        (filled(b"? "), "kalibr"),
        (filled(b"&a ", b"a: "), "opencv"),
        (filled(b"a: &b [*b]\n"), "opencv"),
        (filled(b"'a':\n"), "opencv"),
        (filled(b"9", b"a: "), "opencv"),
        (b"\n".join(b"k%x: 1" % i for i in range(90_000)), "opencv"),
        (b"cameras: [" + b"{a: 1}," * 140_000 + b"]", "opencv"),
        (b"Ks: {rows: 9999, cols: 9999, dt: d, data: [1]}", "opencv"),
        (filled(b"{},", b'{"K":[', b'{}],"M":[]}'), "hanco"),
        (filled(b'"a":{},', b'{"cameras":{', b'"b":{}}}'), "multical"),
        (b"\n".join(b"[c%x]" % i for i in range(50_000)), "anipose"),
    ],
    ids=range(29),
)
def test_a_megabyte_made_to_hurt_is_answered_in_seconds(data: bytes, format: str) -> None:
    start = time.monotonic()
    with pytest.raises(CalibrationError) as caught:
        parse_calibration(data, format, "m", size=(720, 720) if format == "hanco" else None)
    assert time.monotonic() - start < 10  # a quadratic parser takes minutes
    assert len(str(caught.value)) < 2000
