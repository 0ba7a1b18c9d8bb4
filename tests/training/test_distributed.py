"""Two processes under torchrun are one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training.distributed import count, drawn, own_share, rank

_SCRIPT = """
import sys
import numpy as np, torch
from dataclasses import replace
from pathlib import Path
from engine.hand_model import HandModel
from engine.network.network import UstHandNetwork
from tests.training.conftest import SMALL
from training.distributed import processes, rank
from training.feeds import WindowFeed
from training.fit import FitConfig, fit
from training.synthetic import SyntheticConfig, synthetic_windows
from training.usthand import UstHandMethod

torch.set_num_threads(1)
# In float32 the two part after a step: Adam's first steps are as long for a gradient that is all rounding.
torch.set_default_dtype(torch.float64)


class Doubled(WindowFeed):
    def batch(self, indices, views=None, most=None):
        batch = super().batch(indices, views, most)
        halves = ("projections", "view_mask", "labels", "label_confidence")
        return replace(batch, **{name: getattr(batch, name).double() for name in halves})


wanted = SyntheticConfig(size_px=64, views=3, frames=2, image_px=(160, 120))
windows = [window for window, _ in synthetic_windows(wanted, 4, seed=11)]
with processes(torch.device("cpu")):
    # Each process begins with other weights: the first one's count.
    torch.manual_seed(rank())
    network = UstHandNetwork(SMALL, HandModel.load(), pretrained=False).double()
    steps = []
    config = FitConfig(epochs=3, batch_size=4, learning_rate=1e-3, fewest_views=2)
    fit(UstHandMethod(network), Doubled(windows), config, on_step=steps.append)
    if rank() == 0:
        means = torch.cat([v.flatten() for n, v in network.state_dict().items() if n.endswith("running_mean")])
        np.savez(
            sys.argv[1],
            losses=[step.total for step in steps],
            norms=[step.gradient_norm for step in steps],
            means=means.numpy(),
        )
"""


def _train(script: Path, out: Path, processes: int) -> dict[str, NDArray[np.float64]]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    command = [sys.executable, *launcher, str(script), str(out)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    with np.load(out) as kept:
        return dict(kept)


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(_SCRIPT)
    alone = _train(script, tmp_path / "alone.npz", 1)
    together = _train(script, tmp_path / "together.npz", 2)
    for name in ("losses", "norms", "means"):
        assert together[name] == pytest.approx(alone[name], rel=1e-9, abs=1e-9)
    assert alone["losses"][-1] < alone["losses"][0]


def test_a_single_process_has_everything() -> None:
    assert (count(), rank()) == (1, 0)
    assert list(own_share([3, 1, 2])) == [3, 1, 2]
    first, second = (drawn(torch.Generator().manual_seed(1), (4, 2), normal=True) for _ in range(2))
    assert torch.equal(first, second)
