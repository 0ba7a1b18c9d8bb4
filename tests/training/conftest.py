"""What the tests of training share: a network small enough to train in a second, and windows for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from engine.hand_model import HandModel
from engine.network.config import NetworkConfig

if TYPE_CHECKING:
    from engine.network.network import UstHandNetwork
    from training.samples import Window
    from training.truth import Truth

SMALL = NetworkConfig(
    name="small",
    backbone="mobilenetv4-conv-small",
    input_px=64,
    feature_channels=16,
    pose_channels=16,
    fusion_channels=32,
    flow_layers=2,
    flow_channels=16,
    hypotheses=4,
    point_channels=32,
    blocks=2,
    anchor_neighbors=8,
)


def pytest_pycollect_makemodule() -> None:
    """Windows hold tensors, so that nearly every module here imports torch: without it the folder is skipped."""
    pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors only wait for more threads."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def hand_model() -> HandModel:
    return HandModel.load()


@pytest.fixture
def small_network(hand_model: HandModel) -> Callable[[], UstHandNetwork]:
    """Makes untrained networks, all alike."""
    import torch

    from engine.network.network import UstHandNetwork

    def make() -> UstHandNetwork:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return UstHandNetwork(SMALL, hand_model, pretrained=False)

    return make


@pytest.fixture(scope="session")
def small_samples() -> list[tuple[Window, Truth]]:
    """Three windows of two frames and three views, of 64 pixels."""
    from training.synthetic import SyntheticConfig, synthetic_windows

    config = SyntheticConfig(size_px=64, views=3, frames=2, image_px=(160, 120), windows_per_scene=3)
    return synthetic_windows(config, 3, seed=11)
