"""Cameras whose clocks are off are found out by a board that moves."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import Camera, Rig
from calibration.boards import parse_board
from calibration.solving.bundle import Bundle, adjust
from calibration.solving.lenses import held_belief, rms_px
from calibration.solving.places import board_poses
from calibration.solving.timing import MovingView, Timing, refine_timing
from tests.calibration.boards.rigs import board_path, small_rig

RATE_S = 0.1
LATE_S = {"cam0": 0.0, "cam1": -0.04, "cam2": 0.025}


@pytest.fixture(scope="module")
def rig() -> Rig:
    return small_rig(3)


def filmed(rig: Rig, late_s: dict[str, float], still: bool = False, scatter_s: float = 0.0) -> tuple[MovingView, ...]:
    """What cameras see of a moving board whose pictures are taken later than they say; single ones scatter besides."""
    board = parse_board("charuco:4x5:0.05:DICT_4X4_1000")
    rng = np.random.default_rng(2)

    def seen(camera: Camera, frame: float) -> NDArray[np.float64]:
        (T,) = board_path(board, rig, 1, start=frame if still else frame + late_s[camera.id] / RATE_S)
        return camera.project(board.points_board @ T[:3, :3].T + T[:3, 3])

    views = []
    for camera in rig:
        for frame in range(1, 29):
            off = rng.normal(0, scatter_s) / RATE_S if scatter_s else 0.0
            before, here, after = (seen(camera, frame + off + step) for step in (-1, 0, 1))
            velocity = None if still else (after - before) / (2 * RATE_S)
            bend = np.zeros_like(here) if still else (after + before - 2 * here) / (2 * RATE_S**2)
            noisy = here + rng.normal(0, 0.1, here.shape)
            views.append(MovingView(camera.id, frame, np.arange(len(here)), noisy, 0.0, velocity, bend))
    return tuple(views)


def test_offsets_between_clocks_are_found(rig: Rig) -> None:
    board = parse_board("charuco:4x5:0.05:DICT_4X4_1000")
    views = filmed(rig, LATE_S)
    timing = Timing(dict.fromkeys(LATE_S, 0.0), 0.0)
    for _ in range(4):
        timing = refine_timing(rig.cameras, views, board.points_board, timing)
    for camera_id, late in LATE_S.items():
        assert timing.late_s[camera_id] == pytest.approx(late, abs=2e-3)
    assert timing.jitter_s < 0.003


def test_how_single_pictures_scatter_is_found(rig: Rig) -> None:
    board = parse_board("charuco:4x5:0.05:DICT_4X4_1000")
    views = filmed(rig, LATE_S, scatter_s=0.01)
    timing = Timing(dict.fromkeys(LATE_S, 0.0), 0.0)
    for _ in range(4):
        timing = refine_timing(rig.cameras, views, board.points_board, timing)
    # A camera's lateness is seen against the others', which scatter too, and take a share of it.
    assert 0.004 < timing.jitter_s < 0.012
    for view, doubt in zip(views, timing.doubts_px(views), strict=True):
        np.testing.assert_allclose(doubt, timing.jitter_s * view.velocity_px_s)


def test_pictures_of_unknown_times_pull_less_along_their_motion(rig: Rig) -> None:
    board = parse_board("charuco:4x5:0.05:DICT_4X4_1000")
    views = filmed(rig, dict.fromkeys(LATE_S, 0.0), scatter_s=0.02)
    taken = [view.at(0.0) for view in views]
    beliefs = {camera.id: held_belief(camera) for camera in rig}
    start = Bundle(rig.cameras, board_poses(rig.cameras, taken, board.points_board))
    doubts = Timing(LATE_S, 0.02).doubts_px(views)
    off_m = [
        np.linalg.norm(adjust(start, taken, board.points_board, beliefs, doubts_px=d).bundle.cameras[2].center_world
                       - rig.cameras[2].center_world) for d in (doubts, None)
    ]  # fmt: skip
    assert off_m[0] < 0.5 * off_m[1], off_m


def test_a_board_that_stands_still_tells_no_time(rig: Rig) -> None:
    board = parse_board("charuco:4x5:0.05:DICT_4X4_1000")
    timing = refine_timing(rig.cameras, filmed(rig, LATE_S, still=True), board.points_board, Timing(LATE_S, 0.0))
    # Nothing is learned: what was believed fades towards no lateness at all.
    assert all(abs(timing.late_s[i]) < 1e-9 for i in LATE_S)
    assert timing.jitter_s == 0.0


def test_the_time_is_taken_out_of_a_sight(rig: Rig) -> None:
    views = filmed(rig, LATE_S)
    punctual = {(v.camera_id, v.instant): v for v in filmed(rig, dict.fromkeys(LATE_S, 0.0))}
    for view in views[28:56]:
        away = view.at(-0.04).corners_px - punctual[view.camera_id, view.instant].corners_px
        raw = view.corners_px - punctual[view.camera_id, view.instant].corners_px
        assert rms_px([away]) < max(0.4, 0.3 * rms_px([raw]))
