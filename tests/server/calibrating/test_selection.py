from __future__ import annotations

import numpy as np

from calibration.solving.timing import MovingView
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
