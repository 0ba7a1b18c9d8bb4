"""What a fixed trunk said once is what it would say again."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.hand_model import HandModel
from engine.network.network import UstHandNetwork
from tests.training.conftest import SMALL
from training.feeds import WindowFeed
from training.fit import FitConfig, fit
from training.levels import LevelCache, build_levels
from training.samples import Window
from training.truth import Truth
from training.usthand import UstHandMethod, run_network

Samples = list[tuple[Window, Truth]]


class Source:
    """Windows of a list, and how often each was fetched."""

    name = "made up"

    def __init__(self, samples: Samples, version: str = "1") -> None:
        self._samples = samples
        self.version = version
        self.fetched: list[int] = []

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Window:
        self.fetched.append(index)
        return self._samples[index][0]

    def truth(self, index: int) -> Truth:
        return self._samples[index][1]


def _network(hand_model: HandModel) -> UstHandNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return UstHandNetwork(SMALL, hand_model, pretrained=False).eval()


@pytest.fixture
def network(hand_model: HandModel) -> UstHandNetwork:
    return _network(hand_model)


@pytest.fixture(scope="module")
def built(hand_model: HandModel, small_samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Levels of the samples by the network's trunk; exporting a trunk takes seconds."""
    folder = tmp_path_factory.mktemp("built") / "levels"
    build_levels(folder, _network(hand_model).backbone, Source(small_samples))
    return folder


def test_kept_levels_give_the_answer_of_the_crops(network: UstHandNetwork, small_samples: Samples, built: Path) -> None:
    cache = LevelCache(built, network.backbone, Source(small_samples))
    crops = WindowFeed([window for window, _ in small_samples])
    assert (len(cache), cache.views) == (len(crops), crops.views) == (3, 3)
    for views in (None, [[0, 2], [1, 2]]):
        from_crops, from_levels = crops.batch([2, 0], views), cache.batch([2, 0], views)
        with torch.inference_mode():
            wanted, got = (
                run_network(network, batch, torch.Generator().manual_seed(0)) for batch in (from_crops, from_levels)
            )
        # float16 keeps a map to a thousandth of its size.
        assert torch.allclose(wanted.heatmap_joints, got.heatmap_joints, atol=5e-3)
        for name in ("projections", "view_mask", "labels", "label_confidence"):
            assert torch.equal(getattr(from_crops, name), getattr(from_levels, name))


def test_a_build_that_stopped_goes_on(
    network: UstHandNetwork, small_samples: Samples, built: Path, tmp_path: Path
) -> None:
    whole = LevelCache(built, network.backbone, Source(small_samples)).batch([0, 1, 2])
    folder = tmp_path / "stopped"
    shutil.copytree(built, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "done": 2}))
    levels = np.load(folder / "f4.npy", mmap_mode="r+")
    levels[2] = 0
    source = Source(small_samples)
    again = build_levels(folder, network.backbone, source).batch([0, 1, 2])
    assert source.fetched == [0, 2]
    assert whole.levels is not None
    assert again.levels is not None
    assert torch.equal(whole.levels[3], again.levels[3])


def test_levels_that_have_no_room_are_said_before_they_are_mapped(
    network: UstHandNetwork, small_samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"f2\.npy: cannot be written \(No space left on device; \d+ MB are free"):
        build_levels(tmp_path, network.backbone, Source(small_samples))


def test_levels_of_something_else_are_refused(
    network: UstHandNetwork, small_samples: Samples, built: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="other windows"):
        LevelCache(built, network.backbone, Source(small_samples, version="2"))
    with torch.no_grad():
        next(network.backbone.parameters()).add_(1.0)
    with pytest.raises(ValueError, match="another trunk"):
        build_levels(built, network.backbone, Source(small_samples))
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(ValueError, match="no manifest"):
        LevelCache(tmp_path, network.backbone, Source(small_samples))
    with pytest.raises(ValueError, match="has no windows"):
        build_levels(tmp_path / "none", network.backbone, Source([]))


def test_a_network_learns_from_levels(network: UstHandNetwork, small_samples: Samples, built: Path) -> None:
    cache = LevelCache(built, network.backbone, Source(small_samples))
    config = FitConfig(epochs=8, batch_size=3, learning_rate=1e-3, train_backbone=False, fewest_views=2)
    totals: list[float] = []
    fit(UstHandMethod(network), cache, config, lambda report: totals.append(report.total))
    assert totals[-1] < totals[0]
