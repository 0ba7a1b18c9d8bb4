"""Mistakes of unit and direction are told apart from rigs that are only unusual."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration import Camera, Rig
from calibration.plausibility import board_size_remark, inverted, suspicions
from calibration.reframe import in_first_camera

K = [[600, 0, 320], [0, 600, 240], [0, 0, 1]]


def looking(center: tuple[float, float, float], target: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    forward = np.subtract(target, center)
    forward = forward / np.linalg.norm(forward)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, -R @ np.array(center)
    return T


def rig_of(*centers: tuple[float, float, float]) -> Rig:
    return Rig(tuple(Camera(f"cam{i}", 640, 480, K, T_camera_world=looking(c)) for i, c in enumerate(centers)))


ROOM = rig_of((1, -0.5, 1), (-1, -0.4, 1.1), (0.2, -0.6, -1.2), (-0.9, 0.3, -0.8))
PAIR = rig_of((0.2, 0.05, -0.6), (-0.2, 0, -0.7))


def scaled(rig: Rig, factor: float) -> Rig:
    moved = []
    for camera in rig:
        T = np.array(camera.T_camera_world)
        T[:3, 3] *= factor
        moved.append(camera.with_transform(T))
    return Rig(tuple(moved), rig.name)


@pytest.mark.parametrize("rig", [ROOM, PAIR, in_first_camera(ROOM), in_first_camera(PAIR)])
@pytest.mark.parametrize(
    ("factor", "words"),
    [(100, "written in cm? Give its unit (units=cm)"), (0.01, "metres taken for cm"), (39.37, "written in in?"),
     (23, "in which unit"), (300, "in which unit"), (0.3, "in which unit")],
)  # fmt: skip
def test_another_unit_is_seen_against_the_running_calibration(rig: Rig, factor: float, words: str) -> None:
    (found,) = suspicions(scaled(rig, factor), ROOM if len(rig) == 4 else PAIR)
    assert words in found
    assert suspicions(rig, scaled(rig, 1 / factor)) != []


@pytest.mark.parametrize("factor", [1000, 0.001])
@pytest.mark.parametrize("reference", [None, PAIR])
def test_millimetres_for_metres_are_seen_without_a_comparable_one_too(factor: float, reference: Rig | None) -> None:
    near = scaled(ROOM, 0.4)
    assert "mm" in " ".join(suspicions(scaled(near, factor), reference))


@pytest.mark.parametrize("rig", [ROOM, PAIR])
def test_camera_to_world_is_seen_with_and_without_a_comparable_calibration(rig: Rig) -> None:
    # Two cameras alone can be either way round.
    for reference in (rig, in_first_camera(rig)) if len(rig) == 2 else (rig, in_first_camera(rig), None):
        found = " ".join(suspicions(inverted(rig), reference))
        assert "from camera to world" in found
        assert "invert" in found


def test_cameras_that_share_no_view_are_seen() -> None:
    away = Rig(tuple(Camera(f"cam{i}", 640, 480, K, T_camera_world=looking((x, 0, 0), (9 * x, 0, 0.1)))
                     for i, x in enumerate((0.5, -0.5))))  # fmt: skip
    assert "no two cameras see a common point" in suspicions(away)[0]


def test_parallel_cameras_and_one_camera_are_nothing_unusual() -> None:
    shifted = np.eye(4)
    shifted[0, 3] = -0.1
    stereo = Rig((Camera("left", 640, 480, K), Camera("right", 640, 480, K, T_camera_world=shifted)))
    assert suspicions(stereo) == []
    assert suspicions(stereo.subset(("left",))) == []
    assert suspicions(stereo, stereo) == []
    assert "inverted" in suspicions(inverted(stereo), stereo)[0]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_new_calibration_of_about_the_same_rig_is_never_suspected(data: st.DataObject) -> None:
    def shift() -> np.ndarray:
        return np.array([data.draw(st.floats(-0.15, 0.15)) for _ in range(3)])

    moved = []
    for camera in ROOM:
        center = tuple(camera.center_world + shift())
        moved.append(camera.with_transform(looking(center, tuple(shift()))))
    other_world = looking((2, 1, 3), tuple(shift()))
    rig = Rig(tuple(camera.with_transform(camera.T_camera_world @ other_world) for camera in moved))
    assert suspicions(rig, ROOM) == []
    assert suspicions(rig) == []


def test_a_rearranged_rig_is_not_suspected() -> None:
    assert suspicions(rig_of((2, -0.5, 1), (-2, -1.4, 2), (0.2, -1.6, -2.2), (-1.9, 0.3, -1.8)), ROOM) == []
    assert suspicions(rig_of((1, 0, 0.1), (-0.9, 0.2, 0)), PAIR) == []


def test_cameras_that_changed_places_are_named() -> None:
    names = {"cam1": "cam3", "cam3": "cam1"}
    swapped = Rig(tuple(replace(camera, id=names.get(camera.id, camera.id)) for camera in ROOM))
    (found,) = suspicions(swapped, in_first_camera(ROOM))
    assert "cam3 stands where cam1 does" in found
    assert "cables or names" in found
    # Three that went round are no exchange of two.
    names = {"cam0": "cam1", "cam1": "cam2", "cam2": "cam0"}
    round_ = Rig(tuple(replace(camera, id=names.get(camera.id, camera.id)) for camera in ROOM))
    assert not any("exchanged" in why for why in suspicions(round_, ROOM))


@pytest.mark.parametrize("rig", [ROOM, PAIR])
def test_a_board_of_another_size_is_remarked(rig: Rig) -> None:
    remark = board_size_remark(scaled(rig, 0.75), rig)
    assert remark is not None
    assert "0.750 times as far" in remark
    assert "measure the side of the board's squares" in remark
    assert board_size_remark(scaled(rig, 1.01), rig) is None
    moved = [
        camera.with_transform(camera.T_camera_world + 0.12 * (i == 1) * np.eye(4, k=3)) for i, camera in enumerate(rig)
    ]
    assert board_size_remark(Rig(tuple(moved)), rig) is None
    assert board_size_remark(rig.subset(rig.camera_ids[:1]), rig.subset(rig.camera_ids[:1])) is None


@pytest.mark.parametrize("count", [3, 4, 8, 16])
def test_an_exchange_is_seen_among_many_cameras(count: int) -> None:
    angles = np.arange(count) * 2 * np.pi / count
    ring = rig_of(*((float(np.sin(a)), 0.5 * (-1) ** i - 0.04 * i, float(np.cos(a))) for i, a in enumerate(angles)))
    names = {"cam0": "cam2", "cam2": "cam0"}
    swapped = Rig(tuple(replace(camera, id=names.get(camera.id, camera.id)) for camera in ring))
    (found,) = suspicions(swapped.subset(ring.camera_ids), in_first_camera(ring))
    assert "cam0 stands where cam2 does" in found
    assert suspicions(ring, in_first_camera(ring)) == []


@pytest.mark.parametrize("reference", [None, ROOM])
def test_lenses_without_places_are_called_so(reference: Rig | None) -> None:
    lenses = Rig(tuple(camera.with_transform(np.eye(4)) for camera in ROOM))
    (found,) = suspicions(lenses, reference)
    assert "a calibration of lenses only" in found
    assert "usthand calibrate extrinsics" in found
