"""Derive the embedded networks from MediaPipe's own package.

Run once, where the project's files are to be made anew, in an environment of its own:

    pip install tf2onnx==1.17.0 tensorflow-cpu onnx onnxruntime
    python engine/detector/derive_networks.py mediapipe-0.10.21-*.whl engine/detector/data

Each TFLite network becomes ONNX, and then three things that change no answer: the picture comes in as planes, as ONNX
Runtime wants it; PRelu, which ONNX Runtime computes slowly on a CPU, becomes a sum of two convolutions; and weights
that TFLite stores in half precision are stored so again, with a cast that is folded when the file is loaded.
The result is compared with TFLite's own interpreter.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper

NETWORKS = {
    "palm_detection_lite.onnx": "mediapipe/modules/palm_detection/palm_detection_lite.tflite",
    "hand_landmark_lite.onnx": "mediapipe/modules/hand_landmark/hand_landmark_lite.tflite",
    "hand_landmark_full.onnx": "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
}
_OPSET = 17
_SMALL = 64


def take_planes(model: onnx.ModelProto) -> None:
    """Let the picture come in as `(1, 3, H, W)`, without the transposition from `(1, H, W, 3)`."""
    (picture,) = model.graph.input
    (first,) = [node for node in model.graph.node if picture.name in node.input]
    if first.op_type != "Transpose" or list(first.attribute[0].ints) != [0, 3, 1, 2]:
        raise ValueError(f"{first.name}: the network does not begin with a transposition to planes")
    (planes,) = first.output
    for node in model.graph.node:
        node.input[:] = [picture.name if name == planes else name for name in node.input]
    model.graph.node.remove(first)
    batch, height, width, channels = (dimension.dim_value for dimension in picture.type.tensor_type.shape.dim)
    for dimension, value in zip(picture.type.tensor_type.shape.dim, (batch, channels, height, width), strict=True):
        dimension.dim_value = value


def replace_prelu(model: onnx.ModelProto) -> None:
    """Write every PRelu as slope * x + (1 - slope) * relu(x), both products as convolutions of single channels.

    ONNX Runtime keeps the channels of convolutions and of what can stand between them in blocks. A product with one
    number a channel cannot: each would turn the blocks back into planes, and the next convolution planes into blocks.
    """
    slopes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.op_type != "PRelu":
            nodes.append(node)
            continue
        values, slope = node.input
        (result,) = node.output
        factors = slopes[slope].reshape(-1, 1, 1, 1)
        above = f"{result}_above"
        nodes.append(helper.make_node("Relu", [values], [above], name=above))
        parts = []
        for part, given, weights in (("line", values, factors), ("bend", above, 1 - factors)):
            parts.append(f"{result}_{part}")
            stored = f"{parts[-1]}_weights"
            model.graph.initializer.append(numpy_helper.from_array(weights, stored))
            nodes.append(helper.make_node("Conv", [given, stored], [parts[-1]], name=parts[-1], group=len(weights)))
        nodes.append(helper.make_node("Add", parts[::-1], [result], name=result))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def store_halves(model: onnx.ModelProto) -> None:
    """Store float32 weights that are half precision numbers as such."""
    casts = []
    for index, tensor in enumerate(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _SMALL:
            continue
        halves = values.astype(np.float16)
        if not np.array_equal(halves.astype(np.float32), values):
            continue
        stored = f"{tensor.name}_half"
        casts.append(helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT, name=f"{stored}_cast"))
        model.graph.initializer[index].CopyFrom(numpy_helper.from_array(halves, stored))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def largest_difference(tflite: Path, onnx_file: Path) -> float:
    """Largest difference of any output from TFLite's, relative to that output's spread, over random pictures."""
    interpreter = tf.lite.Interpreter(str(tflite))
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    session = ort.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    random = np.random.default_rng(0)
    worst = 0.0
    for _ in range(5):
        picture = random.random(given["shape"], dtype=np.float32)
        interpreter.set_tensor(given["index"], picture)
        interpreter.invoke()
        wanted = {d["name"].split(":")[0]: interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()}
        for output, value in zip(
            session.get_outputs(), session.run(None, {name: picture.transpose(0, 3, 1, 2)}), strict=True
        ):
            reference = wanted[output.name]
            worst = max(worst, float(np.abs(value - reference).max() / max(np.abs(reference).max(), 1e-6)))
    return worst


def main() -> None:
    """Convert, compare and print checksums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(arguments.wheel) as wheel:
        for target, member in NETWORKS.items():
            tflite = Path(wheel.extract(member, folder))
            made = arguments.out / target
            command = ["-m", "tf2onnx.convert", "--tflite", tflite, "--output", made, "--opset", _OPSET]
            subprocess.run([sys.executable, *map(str, command)], check=True, capture_output=True)  # noqa: S603
            model = onnx.load(made)
            take_planes(model)
            replace_prelu(model)
            store_halves(model)
            onnx.checker.check_model(model)
            onnx.save(model, made)
            digest = hashlib.sha256(made.read_bytes()).hexdigest()
            sys.stdout.write(f"{made}: {digest}, differs by {largest_difference(tflite, made):.1e}\n")


if __name__ == "__main__":
    main()
