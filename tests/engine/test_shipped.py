"""The network that comes with the package: what it is, and that it tracks hands that it never saw."""

from __future__ import annotations

import numpy as np
import pytest

from engine.backends import open_runtime
from engine.factory import SHIPPED, open_engine, shipped_path
from engine.hand_model import HandModel
from engine.synthetic import HandScene, make_rig
from tests.engine.detector.support import errors_mm, film

_MOST_BYTES = 25_000_000


@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_small(name: str) -> None:
    assert shipped_path(name).stat().st_size < _MOST_BYTES


@pytest.mark.parametrize("name", SHIPPED)
def test_its_card_says_what_it_learnt_from_and_what_it_reaches(name: str) -> None:
    runtime = open_runtime(shipped_path(name))
    card = runtime.card
    runtime.close()
    assert card.hand_model_sha256 == HandModel.load().sha256
    assert card.training["data"]["windows"] > 1000
    assert card.metrics["mpjpe_mm"] > 0.0
    assert 0.85 < card.metrics["coverage_90"] < 0.95


@pytest.mark.parametrize("views", [2, 4])
def test_it_follows_two_rendered_hands(views: int) -> None:
    seen = film(make_rig(views, 5, 480, 360), HandScene(hands=2, seed=5), range(0, 48, 2))
    engine = open_engine("lite")
    pairs = []
    try:
        for number in range(len(seen)):
            truth = {true.side: true for true in seen.truth(number)}
            hands = engine.process(seen.frame_set(number), seen.rig)
            assert len({hand.side for hand in hands}) == len(hands)
            if number >= 4:
                assert len(hands) == 2, number
                pairs += [(hand, truth[hand.side]) for hand in hands]
    finally:
        engine.close()
    raw_mm = 1e3 * np.stack([np.linalg.norm(hand.joints_world - true.joints_world, axis=1) for hand, true in pairs])
    # A mesh of a hand, not only joints in their places.
    meshes_mm = [1e3 * np.linalg.norm(hand.vertices_world - true.posed.vertices(), axis=1) for hand, true in pairs]
    assert np.median(meshes_mm) < 15
    assert np.percentile(meshes_mm, 99) < 60
    assert max(np.abs(hand.shape).max() for hand, _ in pairs) <= 3.0
    assert np.median(raw_mm) < 15
    aligned_mm = [errors_mm([pair for pair in pairs if pair[0].side == side]) for side in ("left", "right")]
    assert np.median(np.concatenate(aligned_mm)) < 10
