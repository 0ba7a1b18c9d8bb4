"""What seeing costs: each trunk with its decoder, on the CPU, for frame sets of several views.

    python -m benchmarks.backbone_speed
    python -m benchmarks.backbone_speed --backbones mediapipe-lite mediapipe-full --sizes 224 --int8 --openvino

Trunk and decoder are exported to ONNX and timed on random pictures, the contenders taking turns. `batch` is one session
that sees all views at once with all threads; `split` is as many sessions of one thread, which share the views. ResNets
have the full decoder, the others the light one. `best` is the fastest run: on a machine that others use it says more
than the median. With `--int8` trunk and decoder are quantised after calibration on rendered hands, and the error is the
root mean square of what changes in F4, relative to F4's own, on other rendered hands.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import Tensor, nn

from benchmarks._footage import print_table
from engine.crops import crop_around_joints, sample_crop
from engine.errors import EngineError
from engine.network.backbones import BACKBONES, Decoder, build_backbone
from engine.synthetic import HandScene, make_rig

Images = NDArray[np.float32]
Run = Callable[[Images], object]

_INPUT: Final = "images"
_RUNS_A_TURN: Final = 3
_CALIBRATION_FRAMES: Final = range(0, 240, 20)
_JUDGED_FRAMES: Final = range(250, 330, 20)


@dataclass(frozen=True, slots=True)
class Row:
    """One network, run in one way.

    Args:
        backbone: Its name.
        size_px: Side of a picture.
        way: How it was run.
        error: Root mean square of what quantising changes in F4, relative to F4's; 0 where nothing was quantised.
        times_ms: Of each run for each number of views.
    """

    backbone: str
    size_px: int
    way: str
    error: float
    times_ms: dict[int, list[float]] = field(default_factory=dict)


class Encoder(nn.Module):
    """A trunk and its decoder.

    Args:
        name: The trunk's.
        channels: Channels of F_ms.
    """

    def __init__(self, name: str, channels: int) -> None:
        super().__init__()
        self.backbone = build_backbone(name)
        self.decoder = Decoder(self.backbone.channels, channels, light=not name.startswith("resnet"))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """F_ms and F4 of images `(N, 3, S, S)`."""
        features = self.backbone(images)
        return self.decoder(features), features[3]


class Rendered(CalibrationDataReader):  # type: ignore[misc]
    """Rendered hands for the quantiser, one a turn.

    Args:
        images: `(N, 3, S, S)`.
    """

    def __init__(self, images: Images) -> None:
        self._turns: Iterator[Images] = iter(np.split(images, len(images)))

    def get_next(self) -> dict[str, Images] | None:
        """The next picture; None when there is none."""
        image = next(self._turns, None)
        return None if image is None else {_INPUT: image}


def export(name: str, size_px: int, channels: int, path: Path) -> None:
    """Write trunk and decoder to an ONNX file that takes any number of pictures."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Encoder(name, channels).eval(),
            (torch.rand(2, 3, size_px, size_px),),
            dynamo=True,
            opset_version=20,
            input_names=[_INPUT],
            output_names=["f_ms", "f4"],
            dynamic_shapes=({0: torch.export.Dim("views", min=1, max=64)},),
            verbose=False,
        )
    if program is None:
        raise EngineError(f"backbone {name}: the exporter gave nothing")
    program.save(path)


def render(frames: Sequence[int], size_px: int) -> Images:
    """Crops of a rendered hand in two views a frame: `(N, 3, S, S)` RGB in [0, 1]."""
    rig, scene = make_rig(2, seed=3), HandScene(seed=3)
    crops = []
    for frame in frames:
        (truth,) = scene.truth(frame)
        for camera in rig.cameras:
            crop = crop_around_joints(camera.to_camera(truth.joints_world), size_px)
            if crop is not None:
                crops.append(sample_crop(scene.render(camera, frame), camera, crop))
    return np.stack(crops)[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255


def quantise(path: Path, size_px: int) -> Path:
    """Write the network with 8-bit weights and activations beside the original."""
    quantised = path.with_suffix(".int8.onnx")
    quantize_static(
        path,
        quantised,
        Rendered(render(_CALIBRATION_FRAMES, size_px)),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        # Without VNNI, products of two full 8-bit numbers overflow when they are added up.
        reduce_range=True,
    )
    return quantised


def session(path: Path, threads: int) -> ort.InferenceSession:
    """Open a network with so many threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def batch(path: Path, threads: int) -> Run:
    """All views at once, in one session."""
    network = session(path, threads)
    return lambda images: network.run(None, {_INPUT: images})


def split(path: Path, threads: int) -> Run:
    """The views shared out among sessions of one thread each."""
    networks = [session(path, 1) for _ in range(threads)]
    pool = ThreadPoolExecutor(threads)

    def run(images: Images) -> object:
        shares = [share for share in np.array_split(images, threads) if len(share)]
        return list(pool.map(lambda pair: pair[0].run(None, {_INPUT: pair[1]}), zip(networks, shares, strict=False)))

    return run


def openvino(path: Path, threads: int) -> Run:
    """All views at once, in OpenVINO.

    Raises:
        EngineError: If OpenVINO is not installed.
    """
    try:
        import openvino as ov
    except ImportError as error:
        raise EngineError("--openvino: the package openvino is not installed; pip install openvino") from error
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = ov.Core().compile_model(path, "CPU", settings).create_infer_request()
    return lambda images: request.infer({_INPUT: images})


def int8_error(path: Path, quantised: Path, size_px: int) -> float:
    """How far F4 moves, relative to its own size, over rendered hands that nothing was calibrated on."""
    images = render(_JUDGED_FRAMES, size_px)
    exact, rounded = (session(file, 1).run(["f4"], {_INPUT: images})[0] for file in (path, quantised))
    return float(np.sqrt(np.square(rounded - exact).mean() / np.square(exact).mean()))


def contenders(arguments: argparse.Namespace, folder: Path) -> list[tuple[Row, Run]]:
    """Export everything that is to be timed."""
    threads = arguments.threads
    made = []
    for name in arguments.backbones:
        for size_px in arguments.sizes:
            path = folder / f"{name}-{size_px}.onnx"
            export(name, size_px, arguments.channels, path)
            made.append((Row(name, size_px, "batch", 0.0), batch(path, threads)))
            made.append((Row(name, size_px, "split", 0.0), split(path, threads)))
            if arguments.openvino:
                made.append((Row(name, size_px, "batch, OpenVINO", 0.0), openvino(path, threads)))
            if arguments.int8:
                quantised = quantise(path, size_px)
                error = int8_error(path, quantised, size_px)
                made.append((Row(name, size_px, "batch, int8", error), batch(quantised, threads)))
                if arguments.openvino:
                    made.append((Row(name, size_px, "batch, int8, OpenVINO", error), openvino(quantised, threads)))
    return made


def measure(made: Sequence[tuple[Row, Run]], views: Sequence[int], turns: int) -> None:
    """Time all contenders in turn, so that a machine that slows down slows all of them down."""
    random = np.random.default_rng(0)
    for _ in range(turns):
        for row, run in made:
            for count in views:
                images = random.random((count, 3, row.size_px, row.size_px), dtype=np.float32)
                run(images)
                for _ in range(_RUNS_A_TURN):
                    start = time.perf_counter()
                    run(images)
                    row.times_ms.setdefault(count, []).append(1e3 * (time.perf_counter() - start))


def show(rows: Sequence[Row], views: Sequence[int], threads: int) -> None:
    """Print the rows for people."""
    print_table(
        f"Trunk and decoder, ms a frame set: median (best); {threads} threads, ONNX Runtime {ort.__version__}",
        ("backbone", "px", "way", *(f"{count} views" for count in views), "int8 error"),
        [
            (
                row.backbone,
                str(row.size_px),
                row.way,
                *(f"{np.median(row.times_ms[count]):.1f} ({min(row.times_ms[count]):.1f})" for count in views),
                f"{row.error:.1%}" if row.error else "",
            )
            for row in rows
        ],
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backbone_speed", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=list(BACKBONES), metavar="NAME")
    parser.add_argument("--sizes", nargs="+", type=int, default=[192, 224, 256], help="sides of the pictures, px")
    parser.add_argument("--views", nargs="+", type=int, default=[2, 4, 8], help="views of a frame set")
    parser.add_argument("--channels", type=int, default=64, help="channels of F_ms")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=10, help=f"each of {_RUNS_A_TURN} runs")
    parser.add_argument("--int8", action="store_true", help="quantise as well")
    parser.add_argument("--openvino", action="store_true", help="time OpenVINO as well")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    # The exporter and the quantiser advise, on each network, what is of no use here.
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        try:
            made = contenders(arguments, Path(folder))
        except EngineError as error:
            raise SystemExit(str(error)) from error
        measure(made, arguments.views, arguments.turns)
    rows = [row for row, _ in made]
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        show(rows, arguments.views, arguments.threads)


if __name__ == "__main__":
    main()
