from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.boards import parse_board
from capture.rig_config import load_rig_config
from server.calibrating.detections import FILE, fingerprint, load_detections, save_detections
from server.calibrating.footage import Footage, Sight

BOARD = parse_board("charuco:4x5:0.05:DICT_4X4_50")


def seen() -> Footage:
    sights = (
        Sight("a", 3, 12345678901234, np.array([1, 4, 5]), np.array([[1.5, 2.5], [3.25, 4.0], [5.0, 6.0]]), 2.5),
        Sight("b", 3, 12345678909999, np.array([0, 1]), np.array([[9.0, 8.0], [7.0, 6.0]]), 1.5),
    )
    return Footage(
        {"a": (640, 480), "b": (320, 240)}, 7, sights, {"a": {"blurred": 2}, "b": {}}, {3: 12345678905000, 4: 5}
    )


def test_detections_come_back_as_they_were(tmp_path: Path) -> None:
    save_detections(seen(), "key", tmp_path)
    back, before = load_detections("key", tmp_path), seen()
    assert back is not None
    assert (dict(back.sizes), back.frame_sets) == (before.sizes, 7)
    assert {i: dict(counts) for i, counts in back.refused.items()} == before.refused
    assert dict(back.instants_ns) == before.instants_ns
    for one, other in zip(back.sights, before.sights, strict=True):
        assert (one.camera_id, one.instant, one.timestamp_ns, one.edge_px) == (
            other.camera_id,
            other.instant,
            other.timestamp_ns,
            other.edge_px,
        )
        np.testing.assert_array_equal(one.corner_ids, other.corner_ids)
        np.testing.assert_array_equal(one.corners_px, other.corners_px)


def test_detections_of_other_footage_or_of_none_are_not_used(tmp_path: Path) -> None:
    assert load_detections("key", tmp_path) is None
    save_detections(seen(), "key", tmp_path)
    assert load_detections("other", tmp_path) is None
    (tmp_path / FILE).write_bytes(b"not an archive")
    assert load_detections("key", tmp_path) is None


def test_a_file_that_was_cut_or_spoiled_is_written_anew(tmp_path: Path) -> None:
    save_detections(seen(), "key", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    whole = (tmp_path / FILE).read_bytes()
    for length in range(0, len(whole), 50):
        (tmp_path / FILE).write_bytes(whole[:length])
        assert load_detections("key", tmp_path) is None, length
    for place in range(0, len(whole), 11):
        (tmp_path / FILE).write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        load_detections("key", tmp_path)


def test_the_key_changes_with_the_board_and_with_the_files(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"one")
    (tmp_path / "rig.yaml").write_text("cameras:\n  - {id: a, source: {type: file, path: a.mp4}}\n")
    config = load_rig_config(tmp_path / "rig.yaml")
    key = fingerprint(config, BOARD)
    assert fingerprint(config, BOARD) == key
    assert fingerprint(config, BOARD, every=2) != key
    assert fingerprint(config, parse_board("charuco:4x5:0.051:DICT_4X4_50")) != key
    (tmp_path / "a.mp4").write_bytes(b"other")
    assert fingerprint(config, BOARD) != key
