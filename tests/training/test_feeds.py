"""Windows that are kept where training runs are the windows that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.hand_model import HandModel
from engine.network.network import UstHandNetwork
from tests.training.conftest import SMALL
from tests.training.test_levels import Source
from training.feeds import Feed, ResidentFeed, WindowFeed, near
from training.fit import FitConfig, StepReport, fit
from training.levels import build_levels
from training.samples import Batch, Window
from training.truth import Truth
from training.usthand import UstHandMethod

Samples = list[tuple[Window, Truth]]
MakeNetwork = Callable[[], UstHandNetwork]

CPU = torch.device("cpu")


def _crops(samples: Samples) -> Feed:
    return WindowFeed([window for window, _ in samples])


class SeenFeed:
    """Windows with made-up levels of a trunk, of the types and in the order in memory of `training.levels`."""

    views = 3

    def __init__(self, samples: Samples) -> None:
        self._windows = _crops(samples)
        self._frames = samples[0][0].frames
        rng = np.random.default_rng(0)
        shape = (len(samples), self._frames, self.views)
        self._levels = [rng.normal(size=(*shape, side, side, 5)).astype(np.float16) for side in (8, 4, 2)]

    def __len__(self) -> int:
        return len(self._windows)

    def batch(
        self, indices: Sequence[int], views: Sequence[Sequence[int]] | None = None, most: int | None = None
    ) -> Batch:
        assert most is None
        batch = self._windows.batch(indices, views)
        chosen = views or [range(self.views)] * len(indices)
        second, third, fourth = (
            torch.from_numpy(
                np.stack([level[i][:, list(some)] for i, some in zip(indices, chosen, strict=True)]).astype(np.float32)
            )
            .flatten(0, 2)
            .permute(0, 3, 1, 2)
            for level in self._levels
        )
        nothing = torch.zeros((*batch.view_mask.shape, 0, 0, 3), dtype=torch.uint8)
        first = second.new_zeros(len(second), 0, 0, 0)
        return replace(batch, crops=nothing, levels=(first, second, third, fourth))


def _assert_alike(got: Batch, wanted: Batch) -> None:
    for name in ("crops", "projections", "view_mask", "labels", "label_confidence"):
        one, other = getattr(got, name), getattr(wanted, name)
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    assert (got.levels is None) == (wanted.levels is None)
    for one, other in zip(got.levels or (), wanted.levels or (), strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
        # The convolutions that read them are faster so.
        assert one.numel() == 0 or one.is_contiguous(memory_format=torch.channels_last)


def test_kept_windows_are_those_of_the_feed(small_samples: Samples) -> None:
    feeds: list[Feed] = [_crops(small_samples), SeenFeed(small_samples)]
    for feed in feeds:
        kept = ResidentFeed(feed, CPU)
        assert (len(kept), kept.views) == (len(feed), feed.views)
        for views in (None, [[0, 2], [2, 1]]):
            _assert_alike(kept.batch([2, 0], views), feed.batch([2, 0], views))


def test_views_that_saw_the_hand_come_first(small_samples: Samples) -> None:
    blind = small_samples[1][0].view_mask.copy()
    blind[:, 0] = 0.0
    windows = [small_samples[0][0], replace(small_samples[1][0], view_mask=blind)]
    feed = WindowFeed(windows)
    for each in (feed, ResidentFeed(feed, CPU)):
        # The first two of what was asked for, but for a view that saw nothing while another did.
        for orders, expected in (
            ([[2, 0, 1], [2, 0, 1]], [[0, 2], [1, 2]]),
            ([[1, 2, 0], [0, 1, 2]], [[1, 2], [1, 2]]),
        ):
            _assert_alike(each.batch([0, 1], orders, 2), feed.batch([0, 1], expected))
        _assert_alike(each.batch([0, 1], [[2, 0, 1], [2, 0, 1]], 3), feed.batch([0, 1]))


def test_kept_windows_train_the_same_network(small_network: MakeNetwork, small_samples: Samples) -> None:
    config = FitConfig(epochs=2, batch_size=2)
    trained = []
    for feed in (_crops(small_samples), ResidentFeed(_crops(small_samples), CPU)):
        network = small_network()
        fit(UstHandMethod(network), feed, config)
        trained.append(network.state_dict())
    assert all(torch.equal(value, trained[1][name]) for name, value in trained[0].items())


def test_nothing_cannot_be_kept_and_a_cpu_keeps_nothing(small_samples: Samples) -> None:
    feed = _crops(small_samples)
    assert near(feed, CPU) is feed
    with pytest.raises(ValueError, match="no windows to keep"):
        ResidentFeed(_crops([]), CPU)


@pytest.mark.gpu
def test_training_on_a_gpu_is_training(small_network: MakeNetwork, small_samples: Samples, tmp_path: Path) -> None:
    """As on a CPU but for rounding, every step is told of, and a run goes on from its state."""
    config = FitConfig(epochs=2, batch_size=2, fewest_views=2)
    told: dict[str, list[StepReport]] = {}
    for name in ("cpu", "cuda"):
        device = torch.device(name)
        network = small_network().to(device)
        feed = near(_crops(small_samples), device)
        assert isinstance(feed, ResidentFeed) == (name == "cuda")
        told[name] = []
        fit(UstHandMethod(network), feed, config, None, tmp_path / name, on_step=told[name].append, save_every=1)
    assert [report.step for report in told["cuda"]] == [report.step for report in told["cpu"]] == [0, 1, 2, 3]
    assert [report.total for report in told["cuda"]] == pytest.approx([r.total for r in told["cpu"]], rel=0.05)
    more: list[StepReport] = []
    network = small_network().cuda()
    fit(UstHandMethod(network), near(_crops(small_samples), torch.device("cuda")), config, None, tmp_path / "cuda",
        on_step=more.append)  # fmt: skip
    assert not more


@pytest.mark.gpu
def test_a_trunk_on_a_gpu_says_what_it_says_on_a_cpu(
    hand_model: HandModel, small_samples: Samples, tmp_path: Path
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        backbone = UstHandNetwork(SMALL, hand_model, pretrained=False).backbone
    said = [
        build_levels(tmp_path / name, backbone, Source(small_samples), device=torch.device(name)).batch([0, 1, 2])
        for name in ("cpu", "cuda")
    ]
    for one, other in zip(said[0].levels or (), said[1].levels or (), strict=True):
        assert torch.allclose(one, other, rtol=2e-2, atol=2e-2)
