"""Guidance names what is missing, most needed first, until nothing is."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from calibration.boards import Refusal
from calibration.solving.judging import COVERAGE_GRID
from calibration.solving.lenses import MIN_VIEWS
from calibration.solving.places import FEW_SHARED
from calibration.solving.solve import Wishes, held_out_instants
from server.calibrating.footage import Sight
from server.live_calibration.guidance import ENOUGH_SHARED, ENOUGH_SIGHTS, FIRST_LOOKS, guide
from server.live_calibration.sightings import MAX_INSTANTS, CameraView, Look, Seen, Sightings

SIZE = (640, 480)
FULL = np.ones(COVERAGE_GRID[::-1], dtype=np.int64)


def view(sights: int = 50, tilted: int = 20, coverage: np.ndarray = FULL, refusal: str = "") -> CameraView:
    corners = None if refusal else np.zeros((4, 2))
    return CameraView(SIZE, sights, sights, tilted, coverage, {}, corners, refusal)


def seen(shared: int | dict[tuple[str, str], int] = 50, **cameras: CameraView) -> Seen:
    pairs = {pair: shared if isinstance(shared, int) else shared.get(pair, 0) for pair in combinations(cameras, 2)}
    return Seen(100, cameras, pairs, pairs)


def test_enough_of_everything_leaves_nothing_to_do() -> None:
    guidance = guide(seen(a=view(), b=view(), c=view()))
    assert guidance.hints == ()
    assert guidance.can_solve
    assert guidance.missing == ()


def test_a_camera_that_saw_nothing_comes_first_with_the_reason_of_its_last_picture() -> None:
    guidance = guide(seen(0, a=view(), b=view(0, 0, FULL * 0, "edges are 9.1 px wide")))
    assert guidance.hints[0].text == "show the board to b: it has not seen it yet (edges are 9.1 px wide)"
    assert guidance.hints[0].camera_ids == ("b",)
    assert not guidance.can_solve
    assert "b saw the board in 0 pictures" in guidance.missing[0]


def test_a_camera_without_a_picture_is_complained_of_only_after_some_looks() -> None:
    blind = replace(view(0, 0, FULL * 0), size=None)
    both = {"a": view(2), "b": blind}
    early = guide(Seen(1, both, {("a", "b"): 0}, {("a", "b"): 0}))
    assert "show the board to b: its first picture is waited for" in [hint.text for hint in early.hints]
    late = guide(Seen(FIRST_LOOKS, both, {("a", "b"): 0}, {("a", "b"): 0}))
    assert "b gives no pictures: see its state" in [hint.text for hint in late.hints]


def test_the_pair_to_join_is_the_one_that_shares_most_across_groups() -> None:
    shared = {("a", "b"): 50, ("c", "d"): 50, ("b", "c"): 2, ("a", "d"): 1}
    guidance = guide(seen(shared, a=view(), b=view(), c=view(), d=view()))
    assert guidance.hints[0].camera_ids == ("b", "c")
    assert not guidance.can_solve
    assert "b and c saw it at one time in 2 frame sets" in guidance.missing[0]
    # A chain is enough: no camera needs a sight in common with every other.
    joined = guide(seen({**shared, ("b", "c"): ENOUGH_SHARED}, a=view(), b=view(), c=view(), d=view()))
    assert joined.hints == ()


@pytest.mark.parametrize(
    ("rows", "columns", "where"),
    [(slice(2, 6), slice(0, 8), "at the top left"), (slice(0, 4), slice(0, 8), "at the bottom left"),
     (slice(0, 6), slice(0, 5), "at the top right")],
)  # fmt: skip
def test_the_emptiest_part_of_a_picture_is_named(rows: slice, columns: slice, where: str) -> None:
    coverage = FULL * 0
    coverage[rows, columns] = 3
    coverage[1::2] = 0  # thinned out: less than is wanted
    (hint,) = guide(seen(a=view(coverage=coverage), b=view())).hints
    assert f"{where} of a's picture" in hint.text


def test_a_board_that_was_never_tilted_is_asked_for() -> None:
    (hint,) = guide(seen(a=view(tilted=0), b=view())).hints
    assert hint.text.startswith("tilt the board before a")


def test_few_sights_are_counted() -> None:
    hints = guide(seen(a=view(ENOUGH_SIGHTS - 1), b=view())).hints
    assert hints[0].text == f"show the board longer to a: {ENOUGH_SIGHTS - 1} of {ENOUGH_SIGHTS} sights"


def sight(camera_id: str, instant: int, x: float = 10.0) -> Look:
    corners = np.array([[x, 10.0], [x + 600, 470.0], [-0.4, 479.4]])
    return Look(camera_id, SIZE, Sight(camera_id, instant, instant, np.arange(3), corners, 2.0), 30.0)


def test_sightings_count_cells_pairs_and_reasons() -> None:
    sightings = Sightings(("a", "b", "c"))
    sightings.add(0, 0, [sight("c", 0), sight("a", 0), Look("b", SIZE, Refusal("blurred", "edges are wide"))])
    sightings.add(1, 0, [Look("a", (320, 240), sight("a", 1).found)])
    now = sightings.seen()
    assert now.shared == {("a", "b"): 0, ("a", "c"): 1, ("b", "c"): 0}
    assert (now.cameras["a"].sights, now.cameras["c"].sights, now.cameras["c"].tilted) == (1, 1, 1)
    assert now.cameras["c"].coverage[0, 0] == now.cameras["c"].coverage[5, 0] == 1
    assert now.cameras["b"].refused == {"blurred": 1}
    assert now.cameras["b"].refusal == "edges are wide"
    assert "320x240 now; begin anew" in now.cameras["a"].refusal
    # As a solver wants it: by instant, then in the rig's order.
    assert [s.camera_id for s in sightings.footage().sights] == ["a", "c"]


def test_what_is_kept_is_bounded_and_alone_counts() -> None:
    sightings = Sightings(("a", "b"))
    for instant in range(20):
        sightings.add(instant, instant, [sight("a", instant), sight("b", instant)])
    assert guide(sightings.seen()).can_solve
    for instant in range(20, MAX_INSTANTS + 50):
        sightings.add(instant, instant, [sight("a", instant)])
    assert [s.instant for s in sightings.footage().sights] == list(range(50, MAX_INSTANTS + 50))
    # Nothing of b's is left to solve from: guidance must ask for it again.
    seen_now = sightings.seen()
    assert seen_now.cameras["a"].sights == MAX_INSTANTS
    assert (seen_now.cameras["b"].sights, seen_now.cameras["b"].tilted, seen_now.shared["a", "b"]) == (0, 0, 0)
    assert not seen_now.cameras["b"].coverage.any()
    assert not guide(seen_now).can_solve


def test_what_is_held_out_to_judge_by_is_not_solved_from() -> None:
    sightings = Sightings(("a", "b"))
    for instant in range(6):
        sightings.add(instant, instant, [sight("a", instant), sight("b", instant)])
    # Of six frame sets the third is held out.
    assert not guide(sightings.seen()).can_solve
    assert guide(sightings.seen()).missing == (
        "a saw the board in 5 pictures to solve from, beside 1 to judge by; 6 are needed",
        "b saw the board in 5 pictures to solve from, beside 1 to judge by; 6 are needed",
    )
    sightings.add(6, 6, [sight("a", 6), sight("b", 6)])
    assert guide(sightings.seen()).can_solve


def test_what_can_be_solved_is_what_the_solver_takes() -> None:
    """Whatever cameras see, and whenever: guidance and the solver's own limits agree."""
    rng = np.random.default_rng(3)
    agreed = []
    for _ in range(40):
        sightings = Sightings(("a", "b"))
        for instant in range(int(rng.integers(6, 16))):
            sightings.add(instant, instant, [sight(camera_id, instant) for camera_id in "ab" if rng.random() < 0.8])
        footage = sightings.footage()
        held = held_out_instants((s.instant for s in footage.sights), Wishes().hold_out)
        own = {i: {s.instant for s in footage.sights if s.camera_id == i} - held for i in "ab"}
        takes = min(map(len, own.values())) >= MIN_VIEWS and len(own["a"] & own["b"]) >= FEW_SHARED
        assert guide(sightings.seen()).can_solve == takes
        agreed.append(takes)
    assert {True, False} == set(agreed)
