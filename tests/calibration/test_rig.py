from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration import CalibrationError, Camera, Rig


def changed(rig: Rig, **change: object) -> Rig:
    return Rig((replace(rig.cameras[0], **change), *rig.cameras[1:]), rig.name)  # type: ignore[arg-type]


def test_the_id_changes_with_everything_that_changes_a_projection(rig: Rig) -> None:
    first = rig.cameras[0]
    T = first.T_camera_world.copy()
    T[0, 3] = np.nextafter(T[0, 3], 1)
    rigs = [
        rig,
        Rig(rig.cameras[::-1]),
        rig.subset(("left",)),
        changed(rig, id="other"),
        changed(rig, width=721),
        changed(rig, height=721),
        changed(rig, K=first.K + np.diag([1e-9, 0, 0])),
        changed(rig, distortion=first.distortion * (1 + 1e-15)),
        changed(rig, T_camera_world=T),
    ]
    assert len({r.id for r in rigs}) == len(rigs)


def test_the_id_stays_with_everything_that_does_not(rig: Rig) -> None:
    longer, negative_zero = [*rig.cameras[0].distortion, 0, 0, 0], rig.cameras[0].K - 0.0
    negative_zero[0, 1] = -0.0
    for same in (
        Rig(rig.cameras, "another name"),
        Rig(tuple(rig)),
        changed(rig, rms_px=2.0),
        changed(rig, distortion=longer),
        changed(rig, K=negative_zero),
    ):
        assert same.id == rig.id


def test_cameras_come_by_id_and_in_order(rig: Rig) -> None:
    assert rig.camera_ids == ("left", "right")
    assert rig.subset(("right", "left")).camera_ids == ("right", "left")
    assert rig.camera("right") is rig.cameras[1]
    with pytest.raises(KeyError, match="it has left, right"):
        rig.camera("top")


def test_views_come_first_in_a_projection(rig: Rig) -> None:
    points = np.array([[[0.0, 0.0, 1.0], [0.1, 0.0, 1.0], [0.0, 0.0, -5.0]]])
    pixels = rig.project(points)
    assert pixels.shape == (2, 1, 3, 2)
    np.testing.assert_array_equal(pixels[1], rig.cameras[1].project(points))


def test_a_rig_needs_cameras_with_ids_of_their_own(rig: Rig) -> None:
    with pytest.raises(CalibrationError, match="at least one"):
        Rig(())
    with pytest.raises(CalibrationError, match="more than once") as caught:
        Rig((rig.cameras[0], rig.cameras[0]))
    assert list(caught.value.reasons) == ["left"]


def test_equal_calibrations_have_equal_ids_whatever_the_arrays_layout() -> None:
    K = np.array([[500, 0, 320], [0, 500, 240], [0, 0, 1.0]])
    rigs = [Rig((Camera("c", 640, 480, k),)) for k in (K, np.asfortranarray(K), K.tolist())]
    assert len({rig.id for rig in rigs}) == 1
