"""The whole method on a few frames: 2D labels alone teach the network where hands are in space."""

from __future__ import annotations

import os

import pytest
import torch

from engine.hand_model import HandModel
from engine.network.config import preset
from engine.network.network import UstHandNetwork
from training.evaluate import evaluate
from training.feeds import WindowFeed
from training.fit import FitConfig, fit
from training.synthetic import SyntheticConfig, synthetic_windows
from training.usthand import UstHandMethod


@pytest.mark.slow
def test_labels_in_2d_teach_3d(hand_model: HandModel) -> None:
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    config = preset("lite")
    # 32 frame sets of four views, at HanCo's rate, of two people.
    wanted = SyntheticConfig(size_px=config.input_px, views=4, frames=4, rate_hz=5.0)
    samples = synthetic_windows(wanted, 8, seed=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UstHandNetwork(config, hand_model)
    untrained = evaluate(UstHandMethod(network), samples)
    assert untrained.mano_joints is not None
    assert untrained.mano_joints.mean_mm > 30.0
    # The trunk has seen hands already. Without augmentation: it is these frames that are to be learned.
    run = FitConfig(epochs=100, batch_size=2, learning_rate=2e-3, color_jitter=0.0, train_backbone=False)
    fit(UstHandMethod(network), WindowFeed([window for window, _ in samples]), run)
    trained = evaluate(UstHandMethod(network), samples)
    assert trained.answered == 1.0
    assert trained.mano_joints is not None
    assert trained.mano_joints.mean_mm < 3.0
    assert trained.joints.mean_mm < 3.0
    assert trained.mesh is not None
    assert trained.mesh.points.mean_mm < 4.0
