"""Weights between a start and what was learnt from there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.hand_model import HandModel
from engine.network.network import UstHandNetwork
from engine.network.weights import load_weights, save_weights
from tests.training.conftest import SMALL
from tests.training.test_fit import CONFIG, Samples
from tests.training.test_levels import Source
from training.run import RunConfig, train


def test_the_last_weights_lie_between(hand_model: HandModel, small_samples: Samples, tmp_path: Path) -> None:
    torch.manual_seed(3)
    start = tmp_path / "start.pt"
    network = UstHandNetwork(SMALL, hand_model)
    save_weights(start, network, hand_model, training={}, metrics={})
    source = Source(small_samples)
    learnt, between = (
        RunConfig(network=SMALL, fit=replace(CONFIG, epochs=1), start=start, start_share=share) for share in (0.0, 0.25)
    )
    cpu = torch.device("cpu")
    plain = load_weights(train(tmp_path / "plain", learnt, source, None, hand_model, device=cpu))
    # Stopped after its last step, it goes on to the same weights: what is kept to go on from is not blended.
    for _ in range(2):
        path = train(tmp_path / "between", between, source, None, hand_model, device=cpu)
    blended = load_weights(path)
    before, after, found = (loaded.build(hand_model).state_dict() for loaded in (load_weights(start), plain, blended))
    moved = [name for name, value in before.items() if value.is_floating_point() and not value.equal(after[name])]
    assert len(moved) > 50
    for name in moved:
        torch.testing.assert_close(found[name], torch.lerp(after[name], before[name], 0.25), msg=name)
    assert blended.training["start_share"] == 0.25
    assert "start_share" not in plain.training
    # It goes on with the same share and the same start alone.
    unblended = replace(between, start_share=0.0)
    with pytest.raises(ValueError, match=r"begun with start_share 0\.25, not None"):
        train(tmp_path / "between", unblended, source, None, hand_model, device=cpu)
    save_weights(start, plain.build(hand_model), hand_model, training={}, metrics={})
    with pytest.raises(ValueError, match="begun with start_sha256"):
        train(tmp_path / "between", between, source, None, hand_model, device=cpu)
    # A run that was begun before starts were told apart goes on all the same.
    config = tmp_path / "between" / "config.json"
    told = json.loads(config.read_text())
    del told["start_sha256"], told["joints"]
    config.write_text(json.dumps(told))
    train(tmp_path / "between", between, source, None, hand_model, device=cpu)


def test_a_share_without_a_start_is_refused() -> None:
    with pytest.raises(ValueError, match=r"start_share is 0\.5 and there is no start"):
        RunConfig(network=SMALL, fit=CONFIG, start_share=0.5)
    with pytest.raises(ValueError, match=r"start_share is 1\.0; give one from 0 to below 1"):
        RunConfig(network=SMALL, fit=CONFIG, start=Path("start.pt"), start_share=1.0)
