"""What half precision moves joints by: the network as a GPU runs it, on the CPU, against the exported file's float32.

    python -m benchmarks.half_precision
    python -m benchmarks.half_precision --rig tests/rigs/room4.yaml --from-set 40 --sets 36

Without `--rig` crops are made up, one hand; with it the engine tracks hands by the float32 file, and the other network
sees each step's very inputs. PyTorch's convolutions in float16 on a CPU sum in float32 and round once, as tensor cores
do; every convolution's answer is rounded, also where a GPU would add to it first. Products of features have their
factors rounded to ten bits, as TF32 has them, unless `--no-tf32` is given. ONNX Runtime would not do: between two
operators in float16 it leaves the rounding out.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import fx

from engine.backends import NetworkInputs, NetworkOutputs
from engine.backends.base import INPUT_NAMES
from engine.backends.gpu_network import for_gpu
from engine.backends.gpu_settings import Precision
from engine.backends.gpu_trace import Step, trace_step
from engine.backends.onnxruntime_backend import OnnxRuntimeRuntime
from engine.backends.torch_backend import load_exported
from engine.backends.trial import trial_inputs
from engine.factory import network_path
from engine.hand_model import HandModel
from engine.model_card import ModelCard
from engine.tracker.engine import NetworkEngine
from server.commands.sources import footage, open_rig

_VIEWS: Final = (2, 4, 8)
_MM_PER_M: Final = 1e3
# Those whose two factors come last.
_PRODUCTS: Final = (torch.ops.aten.mm.default, torch.ops.aten.bmm.default, torch.ops.aten.addmm.default)


@dataclass(eq=False, slots=True)
class Moved:
    """How far joints were moved, millimetres.

    Args:
        refined: Of the refined joints, one array `(B, 21)` a step.
        mano: Of the hand model's joints, the same.
    """

    refined: list[NDArray[np.float64]] = field(default_factory=list)
    mano: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, half: NetworkOutputs, full: NetworkOutputs) -> None:
        """Compare the hands of a step that have an answer."""
        valid = full.valid > 0
        for kept, name in ((self.refined, "joints"), (self.mano, "mano_joints")):
            difference = np.asarray(getattr(half, name)[valid], float) - getattr(full, name)[valid]
            kept.append(_MM_PER_M * np.linalg.norm(difference, axis=-1))


class _Tf32(fx.Interpreter):
    """Runs a traced step with the factors of products of matrices as TF32 has them."""

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operator."""
        if target in _PRODUCTS:
            args = (*args[:-2], *map(_in_ten_bits, args[-2:]))
        return super().call_function(target, args, kwargs)


def _in_ten_bits(factor: torch.Tensor) -> torch.Tensor:
    """A float32 tensor with its mantissas rounded to ten bits."""
    bits = factor.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


class HalfNetwork:
    """A network as PyTorch runs it on a GPU, in half precision, but on the CPU.

    Args:
        path: The exported network.
        precision: Of the convolutions.
        tf32: Whether products of features have factors of ten bits.
    """

    def __init__(self, path: Path, precision: Precision, *, tf32: bool) -> None:
        network, _ = load_exported(path)
        self._network = for_gpu(network, getattr(torch, precision))
        self._tf32 = tf32
        self._steps: dict[tuple[int, ...], Step] = {}

    def run(self, inputs: NetworkInputs) -> NetworkOutputs:
        """Take a step."""
        tensors = tuple(torch.from_numpy(getattr(inputs, name)) for name in INPUT_NAMES)
        with torch.no_grad():
            if inputs.view_mask.shape not in self._steps:
                traced = trace_step(self._network, tensors, fused_convolutions=False)
                self._steps[inputs.view_mask.shape] = _Tf32(traced).run if self._tf32 else traced
            answers = self._steps[inputs.view_mask.shape](*tensors)
        return NetworkOutputs(*(answer.numpy() for answer in answers))


class Compared:
    """A runtime that answers in float32 and notes what half precision would have answered.

    Args:
        full: The file as it is.
        half: The same network in half precision.
    """

    def __init__(self, full: OnnxRuntimeRuntime, half: HalfNetwork) -> None:
        self._full, self._half = full, half
        self.moved = Moved()

    @property
    def card(self) -> ModelCard:
        """Which network it is."""
        return self._full.card

    @property
    def backend(self) -> str:
        """What answers."""
        return self._full.backend

    def run(self, inputs: NetworkInputs) -> NetworkOutputs:
        """Take a step."""
        answer = self._full.run(inputs)
        self.moved.add(self._half.run(inputs), answer)
        return answer

    def close(self) -> None:
        """Give back memory."""
        self._full.close()


def on_made_up_crops(compared: Compared, views: int, draws: int) -> Moved:
    """Look at so many made-up hands."""
    compared.moved = Moved()
    for seed in range(draws):
        compared.run(trial_inputs(compared.card, 1, views, seed=seed))
    return compared.moved


def on_footage(compared: Compared, rig_path: Path, first: int, sets: int) -> Moved:
    """Track hands in footage."""
    compared.moved = Moved()
    config, rig = open_rig(rig_path)
    engine = NetworkEngine(compared, HandModel.load())
    try:
        for frame_set in islice(footage(config, rig), first, first + sets):
            engine.process(frame_set, rig)
    finally:
        engine.close()
    return compared.moved


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lite", help="a shipped network's name, or an exported file")
    parser.add_argument("--precision", choices=get_args(Precision), default="float16")
    parser.add_argument("--no-tf32", action="store_true", help="products of features in float32")
    parser.add_argument("--draws", type=int, default=10, help="made-up hands for each number of views")
    parser.add_argument("--rig", type=Path, help="footage instead of made-up crops")
    parser.add_argument("--from-set", type=int, default=0)
    parser.add_argument("--sets", type=int, default=40)
    given = parser.parse_args()
    path = network_path(given.model)
    compared = Compared(OnnxRuntimeRuntime(path), HalfNetwork(path, given.precision, tf32=not given.no_tf32))
    table = Table(title=f"{compared.card.model_id}: {given.precision} against float32, mm")
    for column in ("input", "joints", "", "median", "p95", "largest"):
        table.add_column(column)
    if given.rig is not None:
        found = {given.rig.stem: on_footage(compared, given.rig, given.from_set, given.sets)}
    else:
        found = {f"{views} views": on_made_up_crops(compared, views, given.draws) for views in _VIEWS}
    for name, moved in found.items():
        for kind, distances in (("refined", moved.refined), ("MANO", moved.mano)):
            mm = np.concatenate([step.ravel() for step in distances])
            figures = (np.median(mm), np.quantile(mm, 0.95), mm.max())
            table.add_row(name, kind, f"{mm.size // 21} hands", *(f"{figure:.3f}" for figure in figures))
    Console().print(table)


if __name__ == "__main__":
    main()
