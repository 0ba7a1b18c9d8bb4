from __future__ import annotations

from types import MappingProxyType

import numpy as np

from calibration.boards import parse_board
from calibration.solving.timing import MovingView
from server.calibrating.calibrate import sights_of
from server.calibrating.footage import Footage, Sight
from server.calibrating.selection import choose_instants

SIZES = {"a": (600, 400), "b": (600, 400)}
SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.2], [1.0, 1.2]])


def view(camera_id: str, instant: int, middle: tuple[float, float], scale: float = 20.0) -> MovingView:
    corners = SQUARE * scale + middle
    return MovingView(camera_id, instant, np.arange(4), corners, 0.0, None, np.zeros((4, 2)))


def test_few_frame_sets_are_all_taken() -> None:
    views = [view("a", n, (300, 200)) for n in range(5)]
    assert choose_instants(views, SIZES, most=5) == frozenset(range(5))


def test_what_was_not_yet_seen_comes_before_more_of_the_same() -> None:
    same = [view("a", n, (300, 200)) for n in range(100)]
    new = [
        view("a", 100, (30, 30)),
        view("a", 101, (570, 370)),
        view("a", 102, (300, 200), 60.0),
        view("b", 103, (9, 9)),
    ]
    chosen = choose_instants([*same, *new], SIZES, most=8)
    assert len(chosen) == 8
    assert {100, 101, 102, 103} <= chosen


def test_a_frame_set_that_more_cameras_saw_tells_more() -> None:
    alone = [view("a", n, (300, 200)) for n in range(10)]
    both = [view(camera_id, 10, (300, 200)) for camera_id in ("a", "b")]
    assert 10 in choose_instants([*alone, *both], SIZES, most=1)


def test_the_few_frame_sets_that_join_the_cameras_are_among_them() -> None:
    # Two pairs of cameras see the board all over their pictures, 400 times; b and c together only in six frame sets.
    rng = np.random.default_rng(0)
    sizes = dict.fromkeys("abcd", (600, 400))
    views = [
        view(camera_id, n, tuple(rng.uniform((60, 60), (540, 340))), rng.uniform(10, 50))
        for n in range(400)
        for camera_id in ("ab" if n % 2 else "cd")
    ]
    joining = [view(camera_id, n, (300, 200)) for n in range(400, 406) for camera_id in "bc"]
    assert set(range(400, 406)) <= choose_instants([*views, *joining], sizes, most=60)


def test_a_camera_that_saw_the_board_seldom_keeps_its_sights() -> None:
    rng = np.random.default_rng(0)
    sizes = dict.fromkeys("abcd", (600, 400))
    views = [view(c, n, tuple(rng.uniform((60, 60), (540, 340)))) for n in range(200) for c in "abc"]
    alone = [view("d", n, (300, 200)) for n in range(200, 210)]
    assert set(range(200, 210)) <= choose_instants([*views, *alone], sizes, most=50)


def test_the_frame_set_that_is_to_be_the_world_is_among_them() -> None:
    board = parse_board("charuco:4x5:0.05:DICT_4X4_50")
    sights = tuple(Sight("a", n, n, np.arange(4), SQUARE * 20 + 200, 2.0) for n in range(300))
    footage = Footage(SIZES, 300, sights, {}, MappingProxyType({n: n for n in range(300)}))
    assert 299 not in {seen.instant for seen in sights_of(footage, board).views}
    assert 299 in {seen.instant for seen in sights_of(footage, board, 299).views}
