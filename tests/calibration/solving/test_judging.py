"""What a verdict says of calibrations that are bad in one place only, or whose board is not what it is said to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from benchmarks._board_rigs import BOARDS, film, ring_rig
from calibration import Camera
from calibration.observations import BoardView
from calibration.solving.judging import HeldOut, Judgement, WeakNumber, judge
from calibration.solving.measured import Corner, Misshape, misshape, triangulated
from calibration.solving.solve import Wishes, solve_rig

RIG = tuple(ring_rig(8))
POINTS = BOARDS["a2"].points
AS_SPECIFIED = Misshape()
EVERYWHERE = np.random.default_rng(0).uniform((0, 0), (1280, 800), (600, 2))


def view(camera_id: str) -> BoardView:
    return BoardView(camera_id, 0, np.arange(len(EVERYWHERE)), EVERYWHERE)


def judged(
    off_px: dict[str, float] | None = None,
    cameras: tuple[Camera, ...] = RIG,
    weak_px: float = 1.0,
    late_s: float = 0.0,
    shape: Misshape = AS_SPECIFIED,
    mm: tuple[float, float] = (0.1, 0.5),
) -> Judgement:
    """Judge a rig in which all is well but for what is said; a NaN is a camera that no held-out sight judges."""
    errors = {camera.id: 0.3 for camera in cameras} | (off_px or {})
    known = {i: px for i, px in errors.items() if np.isfinite(px)}
    residuals = tuple(np.full((600, 2), px / np.sqrt(2)) for px in known.values())
    held_out = HeldOut(residuals, tuple(map(view, known)), np.full(9, mm[0]), np.full(9, mm[1]), shape, 0)
    weakest = {camera.id: WeakNumber("fx", 1.0, weak_px if camera.id == "cam2" else 1.0) for camera in cameras}
    late = {camera.id: late_s if camera.id == "cam1" else 0.0 for camera in cameras}
    return judge(held_out, cameras, [view(camera.id) for camera in cameras], weakest, late)


def test_a_rig_in_which_all_is_well_is_good() -> None:
    assert (judged().verdict, judged().reasons) == ("good", ())


NAN = float("nan")


@pytest.mark.parametrize(
    ("wrong", "verdict", "said"),
    [
        # The mean of all eight is 0.41 and 0.77 px: one camera is not lost among many.
        ({"off_px": {"cam3": 0.9}}, "usable", "off by 0.90 px in cam3 (rms), more than 0.5: hold the board still"),
        ({"off_px": {"cam3": 2.0}}, "bad", "off by 2.00 px in cam3 (rms), more than 1.5: move the board slower"),
        ({"off_px": {"cam3": 0.6, "cam5": 0.7}}, "usable", "off by 0.70 px in cam5, 0.60 px in cam3 (rms)"),
        ({"off_px": {"cam3": NAN}}, "bad", "no held-out sight judges cam3"),
        ({"off_px": {camera.id: NAN for camera in RIG}}, "bad", "no sight was held out"),
        ({"weak_px": 3.0}, "usable", "cam2's fx is known to 3.0 px only"),
        ({"weak_px": 400.0}, "bad", "cam2's fx is known to 400.0 px only"),
        ({"late_s": -0.02}, "usable", "cam1 takes its pictures 20 ms earlier"),
        ({"mm": (-1.5, 0.5)}, "usable", "neighbouring corners are 1.50 mm off"),
        ({"mm": (3.5, 0.5)}, "bad", "measure the board and correct its spec"),
        ({"mm": (0.1, 1.5)}, "usable", "lie 1.50 mm off the board"),
        ({"mm": (0.1, 3.5)}, "bad", "lie 3.50 mm off the board"),
        ({"shape": Misshape(0.3, 0.0)}, "usable", "0.30 mm (rms) from where its spec has them"),
        ({"shape": Misshape(0.0, 0.4)}, "usable", "0.40 mm (rms) out of its plane"),
        ({"cameras": (*RIG, replace(RIG[0], id="cam8"))}, "bad", "cam0 and cam8 stand within 5 mm"),
    ],
)
def test_what_is_wrong_is_said_and_counts(wrong: dict[str, object], verdict: str, said: str) -> None:
    judgement = judged(**wrong)  # type: ignore[arg-type]
    assert judgement.verdict == verdict
    assert len(judgement.reasons) == 1
    assert said in judgement.reasons[0]


def test_the_odd_camera_is_called_late_also_where_it_is_the_first() -> None:
    held_out = HeldOut((np.full((600, 2), 0.2),), (view("cam0"),), np.full(9, 0.1), np.full(9, 0.1), AS_SPECIFIED, 0)
    late_s = {"cam0": 0.0, "cam1": -0.05, "cam2": -0.051, "cam3": -0.049}
    reasons = judge(held_out, RIG[:1], [view("cam0")], {"cam0": WeakNumber("fx", 1.0, 1.0)}, late_s).reasons
    assert len(reasons) == 1
    assert "cam0 takes its pictures 50 ms later than its timestamps say, against cam1" in reasons[0]
    # All of it can be followed at once, and puts no exposure behind the arrival of its picture.
    assert reasons[0].endswith("add to time_offset_ms in the rig file: cam1 -50, cam2 -51, cam3 -49")


def test_a_picture_that_was_hardly_covered_is_said() -> None:
    held_out = HeldOut((np.full((600, 2), 0.2),), (view("cam0"),), np.full(9, 0.1), np.full(9, 0.1), AS_SPECIFIED, 0)
    corner = BoardView("cam0", 0, np.arange(50), np.random.default_rng(0).uniform(0, 300, (50, 2)))
    judgement = judge(held_out, RIG[:1], [corner], {"cam0": WeakNumber("fx", 1.0, 1.0)}, {"cam0": 0.0})
    assert judgement.verdict == "usable"
    assert "cam0 saw the board in 12 % of its picture" in judgement.reasons[0]


def measured(shape: NDArray[np.float64], noise_m: float) -> dict[Corner, NDArray[np.float64]]:
    """A board of some shape as cameras triangulate it, wherever it is held."""
    rng = np.random.default_rng(1)
    turns = Rotation.random(20, rng=rng).as_matrix()
    return {
        (instant, corner): turn @ point + (0, 0, 2) + rng.normal(0, noise_m, 3)
        for instant, turn in enumerate(turns)
        for corner, point in enumerate(shape)
    }


@pytest.mark.parametrize("noise_m", [1e-4, 5e-4])
def test_a_print_that_is_stretched_or_a_board_that_is_bent_is_told_from_noise(noise_m: float) -> None:
    across = POINTS[:, 0] / POINTS[:, 0].max() * 2 - 1
    bent = POINTS + np.column_stack([0 * across, 0 * across, 0.002 * across**2])
    stretched = POINTS * (1.005, 1.0, 1.0)
    assert misshape(measured(POINTS, noise_m), POINTS) == Misshape()
    # Both are laid on the spec as well as they fit: what is left is how far they are from their own mean.
    shape = misshape(measured(bent, noise_m), POINTS)
    assert shape.out_of_plane_mm == pytest.approx(1e3 * np.std(bent[:, 2]), rel=0.15)
    assert shape.in_plane_mm < 0.1
    shape = misshape(measured(stretched, noise_m), POINTS)
    assert shape.in_plane_mm == pytest.approx(1e3 * np.std(stretched[:, 0] - POINTS[:, 0]), rel=0.15)
    assert shape.out_of_plane_mm < 0.1


def test_a_corner_that_is_far_off_once_bends_no_board() -> None:
    points = measured(POINTS, 1e-4)
    for corner in range(0, len(POINTS), 7):
        points[corner % 20, corner] += (0, 0, 0.05)
    assert misshape(points, POINTS).out_of_plane_mm < 0.1


def test_rays_that_do_not_cross_place_no_corner() -> None:
    one, other = RIG[0], replace(RIG[0], id="twin")
    pixels = one.project(np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]]))
    views = [BoardView(camera.id, 0, np.arange(2), pixels) for camera in (one, other)]
    assert triangulated([one, other], views) == {}
    third = BoardView("cam1", 0, np.arange(1), RIG[1].project(np.zeros((1, 3))))
    (point,) = triangulated([one, other, RIG[1]], [*views, third]).values()
    np.testing.assert_allclose(point, 0, atol=1e-6)


def test_one_source_given_to_two_cameras_is_named() -> None:
    sights = film(ring_rig(2), 24, BOARDS["a3"]).sights
    own = [seen for seen in sights.views if seen.camera_id == "cam0"]
    both = tuple(twin for seen in own for twin in (seen, replace(seen, camera_id="cam1")))
    solved = solve_rig(replace(sights, views=both), Wishes(model="brown-conrady-5"))
    assert solved.judgement.verdict == "bad"
    assert any("cam0 and cam1 stand within 5 mm of each other" in reason for reason in solved.judgement.reasons)
    assert not solved.held_out.neighbours_mm.size
