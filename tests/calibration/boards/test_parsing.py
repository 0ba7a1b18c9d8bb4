from __future__ import annotations

import numpy as np
import pytest

from calibration.boards import Board, BoardError, parse_board

SPECS = (
    "charuco:4x5:0.054:DICT_4X4_1000",
    "charuco:4x5:0.054:DICT_4X4_1000:inverted",
    "charuco:5x7:0.03:DICT_5X5_100:marker=0.8",
    "charuco:5x7:0.03:DICT_5X5_100:inverted:two-sided:0.004",
    "aprilgrid:6x6:0.088:0.3:DICT_APRILTAG_36h11",
    "aprilgrid:4x3:0.05:0.25:DICT_APRILTAG_36h11:two-sided",
    "checkerboard:8x5:0.03",
    "checkerboard:8x5:0.03:inverted",
)


@pytest.mark.parametrize("spec", SPECS)
def test_a_spec_is_read_and_said_again(spec: str) -> None:
    assert parse_board(spec).spec == spec


def test_tags_and_letters_of_other_tools_are_taken() -> None:
    assert (
        parse_board("aprilgrid:6x6:0.088:0.3").spec == parse_board("aprilgrid:6x6:0.088:0.3:DICT_APRILTAG_36H11").spec
    )
    board = parse_board("charuco:4x5:0.054:dict_4x4_50:two-sided:0.003:inverted")
    assert (board.inverted, board.thickness_m) == (True, 0.003)


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("cube:4x5:0.054", ("'cube'", "charuco:COLUMNSxROWS", "aprilgrid:", "checkerboard:")),
        ("charuco:4by5:0.054:DICT_4X4_50", ("'4by5'", "COLUMNSxROWS")),
        ("charuco:4x5:54:DICT_4X4_50", ("square side 54", "54 mm is 0.054")),
        ("charuco:4x5:nan:DICT_4X4_50", ("square side nan",)),
        ("charuco:4x5:5cm:DICT_4X4_50", ("'5cm'", "metres")),
        ("charuco:4x5:0.054:DICT_9X9", ("'DICT_9X9'", "DICT_4X4_1000")),
        ("charuco:4x5:0.054", ("2 parts", "not 3", "charuco:COLUMNSxROWS")),
        ("charuco:4x5:0.054:DICT_4X4_50:upside-down", ("'upside-down'", ":inverted")),
        ("charuco:2x5:0.054:DICT_4X4_50", ("2x5", "3 to 50")),
        ("charuco:3x3:0.05:DICT_4X4_50", ("4 inner corners", "4x3")),
        ("charuco:20x20:0.01:DICT_4X4_50", ("200 markers", "has 50", "larger dictionary")),
        ("charuco:9x9:0.01:DICT_4X4_50:two-sided", ("80 markers", "has 50")),
        ("charuco:4x5:0.054:DICT_4X4_50:marker=1.5", ("marker ratio 1.5", "0.95")),
        ("charuco:4x5:0.054:DICT_4X4_50:two-sided:3", ("thickness 3", "metres")),
        ("aprilgrid:6x6:0.088", ("2 parts", "not 3")),
        ("aprilgrid:1x1:0.088:0.3", ("no grid", "2x1")),
        ("aprilgrid:6x6:0.088:3", ("spacing ratio 3",)),
        ("checkerboard:8x6:0.03", ("upside down", "8x5")),
        ("checkerboard:8x5:0.03:two-sided", ("same from both", "charuco")),
    ],
)
def test_what_is_wrong_with_a_spec_is_named_with_its_remedy(spec: str, named: tuple[str, ...]) -> None:
    with pytest.raises(BoardError) as caught:
        parse_board(spec)
    for words in (spec, *named):
        assert words in str(caught.value)


def distances(board: Board, ids: list[int]) -> list[float]:
    points = board.points_board[ids]
    return np.linalg.norm(np.diff(points, axis=0), axis=1).tolist()


def test_corners_lie_where_the_spec_says() -> None:
    charuco = parse_board("charuco:4x5:0.054:DICT_4X4_1000")
    assert charuco.points_board.shape == (12, 3)
    np.testing.assert_allclose(charuco.points_board[[0, 1, 3]], np.array([(1, 1, 0), (2, 1, 0), (1, 2, 0)]) * 0.054)
    grid = parse_board("aprilgrid:3x2:0.05:0.3")
    assert grid.points_board.shape == (24, 3)
    # Around a tag, then to the next tag in the row, whose corner is a gap away.
    np.testing.assert_allclose(distances(grid, [0, 1, 2, 3, 0]), 0.05)
    np.testing.assert_allclose(distances(grid, [1, 4]), 0.015)
    # Tag 0 is at the bottom left, tag 3 above it.
    assert grid.points_board[0, 1] > grid.points_board[3 * 4, 1]
    checkerboard = parse_board("checkerboard:8x5:0.03")
    assert len(checkerboard.points_board) == 7 * 4


def test_the_back_of_a_board_is_turned_about_its_upright_axis() -> None:
    board = parse_board("charuco:4x5:0.05:DICT_4X4_1000:two-sided:0.003")
    front, back = board.points_board[:12], board.points_board[12:]
    # Corner 0 of the back is the top left one as seen from behind: behind the front's top right.
    np.testing.assert_allclose(back[0], front[2] + (0, 0, 0.003), atol=1e-12)
    np.testing.assert_allclose(back[2], front[0] + (0, 0, 0.003), atol=1e-12)
    np.testing.assert_allclose(np.unique(back[:, 2]), [0.003])


@pytest.mark.parametrize("spec", SPECS)
def test_edges_connect_neighbours(spec: str) -> None:
    pattern = parse_board(spec).pattern
    lengths = np.linalg.norm(pattern.corners_m[pattern.edges[:, 1]] - pattern.corners_m[pattern.edges[:, 0]], axis=1)
    np.testing.assert_allclose(lengths, pattern.unit_m)
