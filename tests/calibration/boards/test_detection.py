from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import Camera
from calibration.boards import Board, BoardDetection, Gates, Refusal, detect, parse_board
from calibration.boards.hints import explain_absence
from tests.calibration.boards.filming import BoardFilm, pose_before

CAMERA = Camera("c", 640, 480, [[600, 0, 322], [0, 602, 236], [0, 0, 1]], [-0.2, 0.05, 1e-3, -1e-3, 0.0])
CHARUCO = "charuco:4x5:0.054:DICT_4X4_1000"
BOARDS = {
    CHARUCO: 0.55,
    f"{CHARUCO}:inverted": 0.55,
    "charuco:4x5:0.054:DICT_4X4_1000:two-sided:0.004": 0.55,
    "aprilgrid:3x3:0.07:0.3": 0.55,
    "aprilgrid:3x3:0.07:0.3:inverted": 0.55,
    "checkerboard:8x5:0.04": 0.55,
    "checkerboard:5x8:0.04:inverted": 0.55,
}


@cache
def film(spec: str) -> BoardFilm:
    return BoardFilm(parse_board(spec), CAMERA)


def picture(spec: str, tilt_deg: tuple[float, float, float] = (0, 0, 0), distance_m: float = 0.55) -> NDArray[np.uint8]:
    return film(spec).take(pose_before(CAMERA, parse_board(spec), distance_m, tilt_deg), noise=3.0)


def true_px(board: Board, T_world_board: NDArray[np.float64]) -> NDArray[np.float64]:
    return CAMERA.project(board.points_board @ T_world_board[:3, :3].T + T_world_board[:3, 3])


def refusal(spec: str, image: NDArray[np.uint8], gates: Gates | None = None) -> Refusal:
    found = detect(parse_board(spec), image, gates or Gates())
    assert isinstance(found, Refusal)
    return found


@pytest.mark.parametrize("spec", BOARDS)
@pytest.mark.parametrize("tilt_deg", [(0.0, 0.0, 0.0), (25.0, -20.0, 10.0), (-15.0, 20.0, 170.0)])
def test_corners_are_found_to_a_tenth_of_a_pixel(spec: str, tilt_deg: tuple[float, float, float]) -> None:
    board = parse_board(spec)
    T_world_board = pose_before(CAMERA, board, BOARDS[spec], tilt_deg)
    found = detect(board, film(spec).take(T_world_board, noise=3.0))
    assert isinstance(found, BoardDetection), found
    assert len(found.corner_ids) >= 0.9 * board.corners_a_side
    error = np.linalg.norm(found.corners_px - true_px(board, T_world_board)[found.corner_ids], axis=1)
    assert np.sqrt(np.mean(error**2)) < 0.1
    assert found.edge_px < 3.5


def test_the_back_of_a_board_is_told_from_its_front() -> None:
    spec = "charuco:4x5:0.054:DICT_4X4_1000:two-sided:0.004"
    board = parse_board(spec)
    for turn, first in ((0.0, 0), (180.0, 12)):
        T_world_board = pose_before(CAMERA, board, 0.55, (0.0, turn, 0.0))
        found = detect(board, film(spec).take(T_world_board))
        assert isinstance(found, BoardDetection)
        assert found.corner_ids.tolist() == list(range(first, first + 12))
        error = np.linalg.norm(found.corners_px - true_px(board, T_world_board)[found.corner_ids], axis=1)
        assert error.max() < 0.2


def test_an_upside_down_checkerboard_is_numbered_from_the_same_corner() -> None:
    spec = "checkerboard:8x5:0.04"
    board = parse_board(spec)
    upright = picture(spec)
    one, other = detect(board, upright), detect(board, np.ascontiguousarray(upright[::-1, ::-1]))
    assert isinstance(one, BoardDetection)
    assert isinstance(other, BoardDetection)
    np.testing.assert_allclose(other.corners_px, (639, 479) - one.corners_px, atol=0.05)


def test_tags_that_another_tool_turned_keep_the_corners_of_the_grid() -> None:
    spec = "aprilgrid:3x3:0.07:0.3"
    board = parse_board(spec)
    image = picture(spec)
    ours = detect(board, image)
    assert isinstance(ours, BoardDetection)
    # Turn what is inside each tag by 180 degrees, as Kalibr's print has it.
    turned = image.copy()
    for tag in ours.corners_px.reshape(-1, 4, 2):
        x0, y0 = np.ceil(tag.min(axis=0) + 3).astype(int)
        x1, y1 = np.floor(tag.max(axis=0) - 3).astype(int)
        turned[y0 : y1 + 1, x0 : x1 + 1] = turned[y0 : y1 + 1, x0 : x1 + 1][::-1, ::-1]
    theirs = detect(board, turned)
    assert isinstance(theirs, BoardDetection)
    assert theirs.corner_ids.tolist() == ours.corner_ids.tolist()
    np.testing.assert_allclose(theirs.corners_px, ours.corners_px, atol=0.3)


def test_nothing_is_refused_as_no_board() -> None:
    empty = np.full((480, 640), 128, np.uint8)
    assert refusal(CHARUCO, empty).reason == "no-board"
    assert refusal("aprilgrid:3x3:0.07:0.3", empty).reason == "no-board"
    assert refusal("checkerboard:8x5:0.04", empty).reason == "no-board"


def test_motion_blur_is_measured_and_refused() -> None:
    board = parse_board(CHARUCO)
    T = pose_before(CAMERA, board, 0.42)
    widths = []
    for blur_px in (0.0, 4.0, 8.0):
        path = []
        for part in np.linspace(-0.5, 0.5, 7):
            moved = T.copy()
            moved[0, 3] += part * blur_px / 600 * 0.42
            path.append(moved)
        found = detect(board, film(CHARUCO).take(path[0], 3.0, 0, path[1:]), Gates(max_edge_px=98.0))
        assert isinstance(found, BoardDetection)
        widths.append(found.edge_px)
        if blur_px == 8.0:
            refused = refusal(CHARUCO, film(CHARUCO).take(path[0], 3.0, 0, path[1:]))
            assert refused.reason == "blurred"
            assert "hold the board still" in refused.text
    # Only the edges across the motion widen, and the measure is theirs.
    assert widths[0] < 3.0
    assert widths[1] == pytest.approx(4.0, abs=1.0)
    assert widths[2] == pytest.approx(8.0, abs=1.5)


def test_too_few_corners_and_corners_in_a_line_are_refused() -> None:
    image = picture(CHARUCO)
    found = detect(parse_board(CHARUCO), image)
    assert isinstance(found, BoardDetection)
    rows_px = found.corners_px.reshape(4, 3, 2)[..., 1].mean(axis=1)
    covered = image.copy()
    covered[int(rows_px[2:].mean()) :] = 128
    assert refusal(CHARUCO, covered, Gates(min_corners=9)).reason == "too-few-corners"
    assert refusal(CHARUCO, covered, Gates(min_corners=9)).text.startswith("6 corners")
    covered[int(rows_px[1:3].mean()) :] = 128
    assert refusal(CHARUCO, covered, Gates(min_corners=2)).reason == "in-a-line"


def test_a_board_that_is_far_away_is_refused() -> None:
    refused = refusal(CHARUCO, picture(CHARUCO, distance_m=0.9), Gates(min_square_px=40.0))
    assert refused.reason == "too-small"
    assert "36" in refused.text


def test_corners_that_do_not_lie_as_the_board_says_are_refused() -> None:
    # Tags 0 to 5 in two columns are not tags 0 to 5 in three.
    assert refusal("aprilgrid:3x2:0.07:0.3", picture("aprilgrid:2x3:0.07:0.3")).reason == "not-this-board"


@pytest.mark.parametrize(
    ("asked", "filmed", "change", "hint"),
    [
        ("charuco:4x5:0.054:DICT_5X5_100", CHARUCO, "", "markers of DICT_4X4 were seen"),
        (CHARUCO, f"{CHARUCO}:inverted", "", "add :inverted"),
        (f"{CHARUCO}:inverted", CHARUCO, "", "leave :inverted out"),
        (CHARUCO, CHARUCO, "mirrored", "mirroring off"),
        ("checkerboard:8x5:0.04", CHARUCO, "", "not a checkerboard"),
        ("checkerboard:7x4:0.04", "checkerboard:8x5:0.04", "", "8x5 squares was seen"),
        ("charuco:4x3:0.054:DICT_4X4_1000", CHARUCO, "", "check columns x rows"),
    ],
)
def test_a_board_that_is_not_there_is_explained(asked: str, filmed: str, change: str, hint: str) -> None:
    # Half the size is half the time: every dictionary is tried.
    image = np.asarray(cv2.resize(picture(filmed), (320, 240), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if change == "mirrored":
        image = np.ascontiguousarray(image[:, ::-1])
    assert hint in explain_absence(parse_board(asked), [image])


@pytest.mark.parametrize("spec", [CHARUCO, "checkerboard:8x5:0.04"])
def test_pictures_out_of_focus_are_explained(spec: str) -> None:
    image = np.asarray(cv2.GaussianBlur(picture(spec), (0, 0), 5.0), dtype=np.uint8)
    found = detect(parse_board(spec), image)
    assert isinstance(found, Refusal)
    if found.reason == "no-board":
        assert "px wide, more than 7: focus the camera" in explain_absence(parse_board(spec), [image])
    else:
        assert found.reason == "blurred"
        assert "shorten the exposure, or focus" in found.text


def test_a_picture_of_nothing_gets_no_hint() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (120, 160), dtype=np.uint8)
    assert explain_absence(parse_board(CHARUCO), [np.asarray(cv2.resize(noise, (320, 240)))]) == ""
