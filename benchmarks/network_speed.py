"""Speed of the network engine: whole frame sets at 2, 4 and 8 views, its stages, and the naive window beside it.

Weights may be random: the network runs in full on every frame set, and what it answers is then replaced by the
scene's truth, so that crops follow the hands as they would with a trained network. Rendering is done before the clock
starts; a frame set's time is everything from pictures in memory to the JSON message.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibration import Rig
from capture.frames import Frame, FrameSet
from engine.backends import open_runtime
from engine.backends.base import NetworkInputs, NetworkOutputs, NetworkRuntime
from engine.backends.onnxruntime_backend import session_options
from engine.backends.stage_times import stage_times_ms
from engine.backends.trial import trial_inputs
from engine.hand_model import HandModel
from engine.model_card import ModelCard
from engine.network.config import preset
from engine.network.network import UstHandNetwork
from engine.synthetic import HandScene, HandTruth, make_rig
from engine.tracker.engine import NetworkEngine
from server.dialects import DIALECTS
from server.encoding import encode_json
from server.messages import DEFAULT_FIELDS, hands_message
from server.solved import Solved

Array = NDArray[np.float64]

_MIRROR: Final = np.array([-1.0, 1.0, 1.0])
_WARM_UP: Final = 10
_WINDOW: Final = 5


class FollowingRuntime:
    """Runs a network, and puts the scene's truth in place of what it answered.

    Args:
        inner: The network.
        rig: The cameras.
    """

    def __init__(self, inner: NetworkRuntime, rig: Rig) -> None:
        self._inner = inner
        self._rig = rig
        self.hands: Sequence[HandTruth] = ()

    @property
    def card(self) -> ModelCard:
        """The network's."""
        return self._inner.card

    @property
    def backend(self) -> str:
        """The network's."""
        return self._inner.backend

    def close(self) -> None:
        """Close the network."""
        self._inner.close()

    def run(self, inputs: NetworkInputs) -> NetworkOutputs:
        """Run the network; answer the truth."""
        answered = self._inner.run(inputs)
        truth = [self._truth(inputs, row) for row in range(len(inputs.crops))]
        joints = np.stack([joints for joints, _ in truth]).astype(np.float32)
        return replace(
            answered,
            joints=joints,
            mano_joints=joints,
            keypoints=np.stack([keypoints for _, keypoints in truth]).astype(np.float32),
            view_confidence=np.repeat(0.9 * inputs.view_mask[..., None], 21, axis=-1),
            reprojection_px=np.zeros_like(answered.reprojection_px),
            valid=np.ones_like(answered.valid),
        )

    def _truth(self, inputs: NetworkInputs, row: int) -> tuple[Array, Array]:
        """Joints `(21, 3)` in the row's local frame and in crop coordinates `(V, 21, 2)`: of the hand nearest to it."""
        projections = inputs.projections[row].astype(np.float64)
        view = int(np.argmax(inputs.view_mask[row]))
        sign = _MIRROR if np.linalg.det(projections[view, :, :3]) < 0 else np.ones(3)
        to_camera = np.linalg.solve(projections[view, :, :3], projections[view, :, 3])
        origin = self._rig.cameras[view].center_world + sign * to_camera
        local = [(hand.joints_world - origin) * sign for hand in self.hands]
        joints = min(local, key=lambda points: float(np.abs(points.mean(axis=0)).sum()))
        moved = np.einsum("vik,nk->vni", projections[:, :, :3], joints) + projections[:, None, :, 3]
        return joints, moved[..., :2] / np.maximum(moved[..., 2:], 1e-3)


@dataclass(frozen=True)
class Result:
    """Times of one network on one rig, milliseconds.

    Args:
        whole: A frame set each.
        stages: By stage, a frame set each.
        hands: Hands answered.
    """

    whole: Array
    stages: dict[str, Array]
    hands: int


def film(rig: Rig, scene: HandScene, frames: int) -> list[FrameSet]:
    """Render frame sets into memory."""
    made = []
    for index in range(frames):
        stamp_ns = 1_000_000_000 + round(index / scene.rate_hz * 1e9)
        shot = tuple(Frame(camera.id, index, stamp_ns, stamp_ns, scene.render(camera, index)) for camera in rig)
        made.append(FrameSet(index, shot, 0.0))
    return made


def measure(path: Path, rig: Rig, scene: HandScene, sets: Sequence[FrameSet], threads: int) -> Result:
    """Time the engine over frame sets."""
    runtime = FollowingRuntime(open_runtime(path, threads=threads), rig)
    engine = NetworkEngine(runtime, HandModel.load(), threads=threads)
    whole: list[float] = []
    stages: dict[str, list[float]] = {}
    hands = 0
    try:
        for number, frame_set in enumerate(sets):
            runtime.hands = scene.truth(frame_set.id)
            started_s = time.perf_counter()
            found = engine.process(frame_set, rig)
            processed_s = time.perf_counter()
            solved = Solved(frame_set, rig, found, time.monotonic_ns(), number, engine.card.model_id)
            encode_json(hands_message(solved, DEFAULT_FIELDS, DIALECTS["mano"]))
            ended_s = time.perf_counter()
            if number < _WARM_UP:
                continue
            hands += len(found)
            whole.append(1e3 * (ended_s - started_s))
            for name, seconds in {**engine.stages_s, "message": ended_s - processed_s}.items():
                stages.setdefault(name, []).append(1e3 * seconds)
    finally:
        engine.close()
    return Result(np.array(whole), {name: np.array(times) for name, times in stages.items()}, hands)


class NaiveWindow(nn.Module):
    """The last of five frames, from all five anew: what streaming saves.

    Args:
        network: The network.
    """

    def __init__(self, network: UstHandNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor, projections: Tensor, view_mask: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Joints of the last frame."""
        frames = self.network.forward_sequence(crops, projections, view_mask, noise).frames
        return frames.joints[:, -1], frames.mano_joints[:, -1]


def compare_with_window(
    network: UstHandNetwork, path: Path, views: int, threads: int, rounds: int
) -> tuple[Array, Array]:
    """Time a streamed step and the naive window in turn: milliseconds of each, `(rounds,)`."""
    runtime = open_runtime(path, threads=threads)
    inputs = trial_inputs(runtime.card, 1, views, seed=0)
    window = tuple(
        torch.from_numpy(getattr(inputs, name))[:, None].repeat_interleave(_WINDOW, dim=1)
        for name in ("crops", "projections", "view_mask", "noise")
    )
    program = torch.onnx.export(NaiveWindow(network).eval(), window, dynamo=True, opset_version=20, verbose=False)
    # The same options as a step's session has.
    content = program.model_proto.SerializeToString()
    naive = ort.InferenceSession(content, session_options(threads), providers=["CPUExecutionProvider"])
    feed = dict(zip((argument.name for argument in naive.get_inputs()), (x.numpy() for x in window), strict=True))
    times: dict[str, list[float]] = {"step": [], "window": []}
    for number in range(rounds + 3):
        for name in times:
            started_s = time.perf_counter()
            if name == "step":
                runtime.run(inputs)
            else:
                naive.run(None, feed)
            if number >= 3:
                times[name].append(1e3 * (time.perf_counter() - started_s))
    runtime.close()
    return np.array(times["step"]), np.array(times["window"])


def percentiles(times: Array) -> str:
    """Median and 95th percentile."""
    return f"{np.median(times):7.1f} {np.quantile(times, 0.95):7.1f}"


def report(name: str, path: Path, network: UstHandNetwork, arguments: argparse.Namespace) -> None:
    """Measure a network and print it."""
    card = open_runtime(path).card
    scene = HandScene(hands=arguments.hands, seed=7)
    rig = make_rig(max(arguments.views), seed=7)
    sets = film(rig, scene, arguments.frames + _WARM_UP)
    print(f"\n{name}: {path.stat().st_size / 1e6:.1f} MB, {arguments.threads} threads, {arguments.hands} hand(s)")
    print("stage                          views   p50 ms  p95 ms")
    for views in arguments.views:
        smaller = Rig(rig.cameras[:views])
        chosen = [FrameSet(s.id, s.frames[:views], s.skew_ms) for s in sets]
        result = measure(path, smaller, scene, chosen, arguments.threads)
        for stage, times in result.stages.items():
            print(f"{stage:30} {views:5d} {percentiles(times)}")
        third = len(result.whole) // 3
        growth = np.median(result.whole[-third:]) / np.median(result.whole[:third])
        print(
            f"{'whole frame set':30} {views:5d} {percentiles(result.whole)}   "
            f"{1e3 / np.median(result.whole):.1f} a second; {result.hands} hands; last third against first {growth:.2f}"
        )
        step, window = compare_with_window(network, path, views, arguments.threads, arguments.rounds)
        print(
            f"{'network, one step':30} {views:5d} {percentiles(step)}\n"
            f"{'network, naive window of 5':30} {views:5d} {percentiles(window)}   "
            f"{np.median(window / step):.1f} times a step"
        )
        inputs = trial_inputs(card, 1, views, seed=0)
        inside = stage_times_ms(path, inputs, threads=arguments.threads)
        for stage, times in inside.items():
            print(f"  {stage:28} {views:5d} {percentiles(times)}")


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["lite", "resnet34"], help="names of networks")
    parser.add_argument("--views", nargs="+", type=int, default=[2, 4, 8])
    parser.add_argument("--hands", type=int, default=1, choices=(1, 2))
    parser.add_argument("--frames", type=int, default=90, help="frame sets that are timed")
    parser.add_argument("--rounds", type=int, default=15, help="steps beside naive windows")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    # What the exporter has to say about itself is of no interest here.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.networks:
            torch.manual_seed(0)
            network = UstHandNetwork(preset(name), HandModel.load()).eval()
            path = Path(folder) / f"{name}.onnx"
            export = [sys.executable, "-m", "server.cli", "export", "--network", name, "--out", str(path)]
            subprocess.run(export, check=True, stdout=subprocess.DEVNULL)
            report(name, path, network, arguments)


if __name__ == "__main__":
    main()
