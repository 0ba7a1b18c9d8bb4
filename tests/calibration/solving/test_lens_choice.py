"""Of the lens models the simplest is taken that holds out as well as any."""

from __future__ import annotations

from benchmarks._board_rigs import BOARDS, film, ring_rig
from calibration.solving.lenses import solve_lens


def test_a_plain_lens_gets_the_plain_model() -> None:
    filmed = film(ring_rig(2), 40, BOARDS["a2"])
    own = [view.as_taken() for view in filmed.sights.views if view.camera_id == "cam0"]
    train, held_out = [view for number, view in enumerate(own) if number % 4], own[::4]
    found = solve_lens("cam0", (1280, 800), train, held_out, filmed.sights.points_board)
    assert set(found.tried) == {"brown-conrady-5", "brown-conrady-8", "fisheye"}
    # All three bend enough for it: those with more numbers, or of another kind, are not taken for nothing.
    assert max(found.tried.values()) < 1.05 * min(found.tried.values())
    assert found.name == "brown-conrady-5"
    assert found.held_out_px == found.tried["brown-conrady-5"]
