"""Our own calibration file: it comes back as it was, and what is wrong with it is said all at once."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration import CalibrationError, Camera, Rig
from calibration.files import MAX_BYTES, calibration_to_dict, load_calibration, parse_calibration, save_calibration


def encoded(content: object) -> bytes:
    return json.dumps(content).encode()


def reasons_for(content: object) -> dict[str, list[str]]:
    with pytest.raises(CalibrationError) as caught:
        parse_calibration(encoded(content))
    return caught.value.reasons


def test_a_rig_comes_back_as_it_was(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    save_calibration(rig, path, source="a test")
    again = load_calibration(path)
    assert (again.id, again.name, again.camera_ids) == (rig.id, "desk", rig.camera_ids)
    assert [camera.rms_px for camera in again] == [None, 0.3]
    written = json.loads(path.read_text())
    assert written["source"] == "a test"
    assert written["units"] == "m"
    assert written["created"].endswith("+00:00")


numbers = st.floats(-900, 900, allow_subnormal=True)


@given(st.lists(numbers, min_size=3, max_size=3), st.lists(st.floats(-1e6, 1e6), min_size=8, max_size=8))
def test_floats_come_back_exactly(t: list[float], distortion: list[float]) -> None:
    T = np.eye(4)
    T[:3, 3] = np.array(t) / np.sqrt(3)
    rig = Rig((Camera("c", 640, 480, [[500 / 3, 0, 320.1], [0, 500 / 3, 240], [0, 0, 1]], distortion, T),))
    assert parse_calibration(encoded(calibration_to_dict(rig))).id == rig.id


def test_saving_replaces_the_file_whole_or_not_at_all(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "calibration.json"
    path.write_text("the old one")

    def disk_full(self: Path, target: Path) -> Path:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", disk_full)
    with pytest.raises(OSError, match="no space left"):
        save_calibration(rig, path)
    assert [p.name for p in tmp_path.iterdir()] == ["calibration.json"]
    assert path.read_text() == "the old one"


def test_what_replaces_the_old_file_is_on_the_disk_by_then(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "calibration.json"
    synced: list[int] = []
    fsync, replace = os.fsync, Path.replace

    def note(handle: int) -> None:
        fsync(handle)
        synced.append(os.fstat(handle).st_size)

    def check(self: Path, target: Path) -> Path:
        # The power may go at any moment from here on.
        assert synced == [self.stat().st_size]
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(Path, "replace", check)
    save_calibration(rig, path)
    assert load_calibration(path).id == rig.id


def test_a_place_that_cannot_be_written_to_is_named_as_it_was_given(rig: Rig, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "calibration.json"):
        with pytest.raises(OSError, match="directory") as refused:
            save_calibration(rig, path)
        assert refused.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_every_reason_is_given_by_camera_and_at_once(content: dict[str, Any]) -> None:
    left, right = content["cameras"]
    left["K"][0][0] = float("nan")
    left["K"][1][1] = "925.8"
    left["T_camera_world"][0][0] = 2.0
    right["width"] = True
    del right["model"]
    content["units"] = "mm"
    reasons = reasons_for(content)
    assert list(reasons) == ["", "left", "right"]
    assert "units is 'mm'" in reasons[""][0]
    for part in ("K[0][0] is nan", "K[1][1] is '925.8'", "rotation"):
        assert any(part in reason for reason in reasons["left"]), part
    assert any("width is True" in reason for reason in reasons["right"])
    assert "model is missing; add it" in reasons["right"]


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("schema",), "usthand.calibration/2", "'usthand.calibration/1'"),
        (("units",), None, "'m'"),
        (("units",), "mm", "units is 'mm'; give 'm', with the translations of all cameras in metres"),
        (("cameras",), [], "at least one"),
        (("cameras",), {}, "at least one"),
        (("cameras", 0), 7, "give an object"),
        (("cameras", 0, "id"), "../etc", "cannot be used"),
        (("cameras", 0, "id"), 3, "cannot be used"),
        (("cameras", 0, "id"), "\ud800", "cannot be used"),
        (("cameras", 0, "id"), "right", "more than once"),
        (("cameras", 0, "width"), 720.0, "whole number"),
        (("cameras", 0, "height"), 0, "whole number"),
        (("cameras", 0, "height"), 10**30, "whole number"),
        (("cameras", 0, "K"), [[900, 0, 360], [0, 900, 360]], "K is"),
        (("cameras", 0, "K"), [[926.1, 356.1, 0], [0, 925.8, 355.2], [0, 0, 1]], "stand in the second column"),
        (("cameras", 0, "K", 0, 1), 1e300, "no sensor has"),
        (("cameras", 0, "K", 0, 0), True, "no number"),
        (("cameras", 0, "K", 0, 0), None, "no number; give one"),
        (("cameras", 0, "K", 0, 0), "926.1", "no number; write it without quotes"),
        (("cameras", 0, "K", 0, 0), [], "K is"),
        (("cameras", 0, "K", 0, 0), 10**400, "not finite"),
        (("cameras", 0, "distortion"), [0.1, 0.2, 0, 0], "takes 5 or 8"),
        (("cameras", 0, "distortion"), [float("inf")] * 5, "not finite"),
        (("cameras", 0, "T_camera_world", 3, 3), 2, "last row"),
        (("cameras", 0, "T_camera_world", 0, 3), 4e5, "another unit"),
        (("cameras", 0, "rms_px"), -1, "negative"),
        (("cameras", 0, "model"), "pinhole", "'brown-conrady' or 'fisheye'"),
        (("cameras", 0, "distorsion"), [0] * 5, "'distorsion' is not known"),
        (("comment",), "hello", "'comment' is not known"),
        (("name",), "a\nb", "printable"),
        (("name",), "x" * 501, "printable"),
    ],
)
def test_a_wrong_value_is_refused(
    content: dict[str, Any], path: tuple[str | int, ...], value: object, reason: str
) -> None:
    place: Any = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert any(reason in why for whys in reasons_for(content).values() for why in whys)


def test_doubled_keys_are_refused_with_their_camera(content: dict[str, Any]) -> None:
    data = encoded(content).replace(b'"id": "left",', b'"id": "left", "width": 1, "K": [],')
    data = data.replace(b'"units": "m"', b'"units": "m", "units": "m"')
    with pytest.raises(CalibrationError) as caught:
        parse_calibration(data)
    assert caught.value.reasons[""] == ["key 'units' is given more than once; keep one"]
    assert caught.value.reasons["left"] == ["keys 'width', 'K' are given more than once; keep one"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"not JSON: .* if it is another format, name it \(format=\.\.\.\)"),
        (b"null", "give an object"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 33, "deeper than 32"),
        (b'{"a":' * 100_000, "deeper than 32"),
        (b'{"a": "' + b"[" * 100 + b'"}', "schema is missing"),
        (b'{"a": "\\"' + b"[" * 100 + b'"}', "schema is missing"),
        (b'{"units": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'"' + b"x" * MAX_BYTES, "larger than"),
        (b'{"cameras": [' + b"{}," * 300 + b"{}]}", "at most 256"),
    ],
)
def test_what_is_no_calibration_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(CalibrationError, match=reason):
        parse_calibration(data)


def test_what_the_service_gives_out_can_be_given_back_to_it(rig: Rig, content: dict[str, Any]) -> None:
    assert parse_calibration(encoded({"id": rig.id, **content})).id == rig.id


def test_a_byte_order_mark_is_no_obstacle(rig: Rig, content: dict[str, Any]) -> None:
    assert parse_calibration(b"\xef\xbb\xbf" + encoded(content)).id == rig.id


def test_units_and_size_that_disagree_with_the_file_are_refused(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    save_calibration(rig.subset(("left",)), path)
    for units in ("m", 1, 1.0, "1.0"):
        assert load_calibration(path, units=units, size=(720, 720)).camera_ids == ("left",)
    for units in ("mm", 0.001):
        with pytest.raises(CalibrationError, match=r"are in metres; .* multiply its translations by 0\.001 first"):
            load_calibration(path, units=units)
    with pytest.raises(CalibrationError, match="but the file says 720x720"):
        load_calibration(path, size=(640, 480))


@pytest.mark.parametrize("units", ["ft", "", "-1", "nan", 0, -0.5, float("inf"), True, [1], "1e-30"])
def test_units_that_are_none_are_refused(content: dict[str, Any], units: Any) -> None:
    with pytest.raises(CalibrationError, match="not known; use m, cm, mm, in or a number of metres per unit"):
        parse_calibration(encoded(content), units=units)


def test_a_format_that_is_not_known_is_named_with_those_that_are(tmp_path: Path) -> None:
    for call in (lambda: parse_calibration(b"{}", "easy"), lambda: load_calibration(tmp_path, "easy")):
        with pytest.raises(CalibrationError, match="'easy' is not known; use one of usthand, anipose, caliscope"):
            call()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"absent\.json cannot be read: No such file"):
        load_calibration(tmp_path / "absent.json")
    with pytest.raises(CalibrationError, match="cannot be read"):
        load_calibration(tmp_path)


def test_writing_does_not_share_memory_with_the_rig(rig: Rig) -> None:
    first = calibration_to_dict(rig)
    expected = copy.deepcopy(first)
    first["cameras"][0]["K"][0][0] = 0
    assert calibration_to_dict(rig) == expected


def test_an_error_names_the_file_once_and_every_camera(rig: Rig, tmp_path: Path) -> None:
    content = calibration_to_dict(rig)
    for camera in content["cameras"]:
        camera["width"] = 0
    path = tmp_path / "desk.json"
    path.write_text(json.dumps(content))
    with pytest.raises(CalibrationError) as refused:
        load_calibration(path)
    first, *others = str(refused.value).split("; camera ")
    assert first.startswith(f"calibration {path}: camera {rig.camera_ids[0]!r}: ")
    assert [other.partition(":")[0] for other in others] == [repr(camera_id) for camera_id in rig.camera_ids[1:]]
    assert str(refused.value).count(str(path)) == 1
    assert all(line.startswith(f"calibration {path}: camera ") for line in refused.value.lines)
