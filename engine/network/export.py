"""From a network to a file that runs: one ONNX graph for any number of views, with its card, held to torch.

The file keeps the weights under their names in the network, so that `engine.backends.torch_backend` runs the same file.
Each node is named `stage/operator_number`, the stage being the module that it came from: `engine.backends.stage_times`
reads it. Nothing of the machine that exports is in the file, and equal weights and an equal card make equal bytes.
"""

from __future__ import annotations

import ast
import copy
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules import common as rules
from torch import Tensor, nn

from engine.backends.base import INPUT_NAMES, MAX_VIEWS, OUTPUT_NAMES, READ_OUTPUTS, NetworkInputs, NetworkOutputs
from engine.backends.onnxruntime_backend import OnnxRuntimeRuntime
from engine.backends.trial import trial_inputs
from engine.errors import EngineError
from engine.model_card import ModelCard
from engine.network.network import UstHandNetwork
from engine.network.weights import weight_names

OPSET: Final = 20
"""Version of ONNX's operators; from 23 on attention becomes an operator that TensorRT-RTX's parser crashes on."""

MAX_HANDS: Final = 4
"""Hands that one step takes at most."""

PARITY_MM: Final = 0.01
"""So far may a joint of the file lie from torch's."""

GEOMETRY: Final = "geometry"
"""Stage of what happens between modules."""

_WRAPPED: Final = "network"
_STAGE_DEPTH: Final = 4
# Rewrites that change no value and no weight. Those of onnxscript that drop `x + 0` or `x * 1` are not among them: they
# count 1e-9 as 0.
_RULES: Final = (
    rules.cast_cast_rule,
    rules.collapse_slice_rule,
    rules.collapse_slice2_rule,
    rules.fuse_pad_into_conv_rule,
    rules.materialize_reshape_shape_rule,
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.no_op_transpose_rule,
    rules.one_reshape_matmul_reshape_rule,
    rules.reshape_reshape_rule,
    rules.squeeze_reshape_1d_rule,
    rules.transpose_transpose_rule,
    rules.two_reshapes_matmul_reshape_rule,
    rules.unsqueeze_unsqueeze_rule,
    *rules.expand_before_binary_op_rules,
)
_DRAWS: Final = 3
# Hands and masks that the file is tried on: every number of views, and views that are missing.
_TRIALS: Final = (
    *((1, (1.0,) * views) for views in range(1, MAX_VIEWS + 1)),
    (2, (1.0, 0.0, 1.0)),
    (1, (0.0, 1.0, 1.0, 0.0, 1.0)),
    (1, (0.0, 0.0)),
)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was exported.

    Args:
        nodes: Operators in the graph.
        size_bytes: Of the file.
        parity_mm: Largest distance of a joint, of the points or of the hand model, to torch's over 2..8 views with and
            without masked ones.
    """

    nodes: int
    size_bytes: int
    parity_mm: float


class _Step(nn.Module):
    """One step of a network, with its answer as the tuple that the exporter wants."""

    def __init__(self, network: UstHandNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """Take the step."""
        # First of all, since TensorRT takes bytes but can do nothing else with them.
        return self.network.step(crops.to(torch.float32), *others).as_tuple()


def export_network(
    network: UstHandNetwork,
    card: ModelCard,
    path: Path,
    *,
    views_hint: int = 4,
    advance: Callable[[str], None] = lambda _: None,
) -> ExportReport:
    """Write a network to an ONNX file that runs for 1..8 views and 1..4 hands.

    The file is written only after it has given torch's joints; one that is there is replaced by a whole one.

    Args:
        network: The network with its weights; left as it was.
        card: What the file says of itself; its sizes must be the network's.
        path: Where to write.
        views_hint: Views of the example that is traced.
        advance: Told about each of the `EXPORT_STEPS` steps.

    Returns:
        What came out.

    Raises:
        EngineError: If the card is another network's, or the file does not give torch's joints.
        OSError: If the file cannot be written.
    """
    _check_card(card, network)
    training = network.training
    network.eval()
    try:
        advance("trace")
        model = _traced(network, card, views_hint)
        advance("simplify")
        weights = weight_names(network)
        _simplify(model, weights)
        _name_by_stage(model, weights)
        _leave_only_the_card(model, card)
        content = _serialized(model)
        advance("compare with torch")
        parity_mm = _parity_mm(network, card, content)
    finally:
        network.train(training)
    advance("write")
    _write_whole(path, content)
    return ExportReport(nodes=len(model.graph), size_bytes=len(content), parity_mm=parity_mm)


EXPORT_STEPS: Final = 4
"""How often `export_network` tells its `advance`."""


def _check_card(card: ModelCard, network: UstHandNetwork) -> None:
    config = network.config
    sizes = {
        "input_px": config.input_px,
        "hypotheses": config.hypotheses,
        "blocks": config.blocks,
        "past": config.past,
        "channels": config.point_channels,
        "lookahead": config.lookahead,
        "config": config.to_dict(),
    }
    for name, value in sizes.items():
        if getattr(card, name) != value:
            raise EngineError(f"model card: {name} is {getattr(card, name)}, the network's is {value}; make it anew")
    if config.lookahead:
        raise EngineError(f"network {config.name} looks {config.lookahead} frames ahead; export one with lookahead 0")


def _traced(network: UstHandNetwork, card: ModelCard, views: int) -> ir.Model:
    """The network's graph as the exporter writes it, nothing simplified."""
    # One hand or one view would be taken for a constant.
    inputs = trial_inputs(card, 2, views)
    example = tuple(torch.from_numpy(getattr(inputs, name)) for name in INPUT_NAMES)
    hand_axis, view_axis = torch.export.Dim("hands", max=MAX_HANDS), torch.export.Dim("views", max=MAX_VIEWS)
    of_hands, of_views = {0: hand_axis}, {0: hand_axis, 1: view_axis}
    with quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            _Step(network).eval(),
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=INPUT_NAMES,
            output_names=OUTPUT_NAMES,
            dynamic_shapes=(of_views, (of_views, of_views, of_views, of_hands, of_hands)),
            # Its optimizer takes terms of 1e-9, which keep quotients finite, for zeros, and folds weights away.
            optimize=False,
            verbose=False,
        )
    if program is None:
        raise EngineError("torch.onnx.export gave no program; install the versions of constraints.txt")
    model: ir.Model = program.model
    for name, value in tuple(model.graph.initializers.items()):
        value.name = name.removeprefix(f"{_WRAPPED}.")
    return model


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Leave out what the exporter says about itself: packages that it would like, its own deprecated calls."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        logger.setLevel(level)


def _simplify(model: ir.Model, weights: frozenset[str]) -> None:
    """Compute ahead what depends on no input, and drop what does nothing; no weight loses its name or its value."""

    def should_fold(node: ir.Node) -> bool | None:
        return False if any(value is not None and value.name in weights for value in node.inputs) else None

    clean = ir.passes.Sequential(
        passes.IdentityEliminationPass(), passes.RemoveUnusedNodesPass(), passes.CommonSubexpressionEliminationPass()
    )
    count = len(model.graph) + 1
    while len(model.graph) < count:
        count = len(model.graph)
        optimizer.fold_constants(model, onnx_shape_inference=True, should_fold=should_fold)
        rewriter.rewrite(model, _RULES)
        clean(model)
    # As initializers they are read in place; as Constant nodes they would each be an operator.
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    passes.RemoveUnusedNodesPass()(model)
    lost = sorted(weights - set(model.graph.initializers))
    if lost:
        raise EngineError(f"the exporter left out the weight {lost[0]}; install the versions of constraints.txt")


def _name_by_stage(model: ir.Model, weights: frozenset[str]) -> None:
    """Name each node `stage/operator_number`, and what it makes too: fused operators keep the one or the other."""
    before = "inputs"
    for number, node in enumerate(model.graph):
        module = _module(node)
        if module is None:
            # Between modules there is geometry: rays that meet, the hand's frame, projections.
            stage = f"{GEOMETRY}.after_{before}"
        else:
            stage, before = module, module.partition(".")[0]
        node.name = f"{stage}/{node.op_type}_{number}"
        for index, value in enumerate(node.outputs):
            if not value.is_graph_output():
                value.name = f"{node.name}.{index}" if index else node.name
    others = (value for name, value in tuple(model.graph.initializers.items()) if name not in weights)
    for index, value in enumerate(others):
        value.name = f"constant/{index}"


def _module(node: ir.Node) -> str | None:
    """Path of the module that a node came from, its first parts; None where no module is around it."""
    scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes")
    if scopes is None:
        # A node that a simplification made: it stands for one before it.
        producers = (value.producer() for value in node.inputs if value is not None)
        return next((found for producer in producers if producer is not None and (found := _module(producer))), None)
    # From the outermost to the innermost module, then the operator.
    path: str = (ast.literal_eval(scopes)[:-1] or [""])[-1]
    if not path.startswith(f"{_WRAPPED}."):
        return None
    return ".".join(path.split(".")[1 : 1 + _STAGE_DEPTH])


def _leave_only_the_card(model: ir.Model, card: ModelCard) -> None:
    """Remove traces of the exporting machine (stack traces name its files), and add the card."""
    passes.ClearMetadataAndDocStringPass()(model)
    made = (value for node in model.graph for value in node.outputs)
    for value in (*model.graph.inputs, *model.graph.initializers.values(), *made):
        value.metadata_props.clear()
    model.graph.name = "usthand"
    model.producer_name, model.producer_version, model.domain, model.doc_string = "usthand", None, None, None
    model.metadata_props.clear()
    model.metadata_props.update(card.to_metadata())


def _serialized(model: ir.Model) -> bytes:
    """The file's bytes, checked."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _parity_mm(network: UstHandNetwork, card: ModelCard, content: bytes) -> float:
    """Largest distance of a joint of the file to torch's over numbers of views and masks, millimetres."""
    runtime = OnnxRuntimeRuntime.from_bytes(content, card.model_id, threads=1)
    worst_mm = 0.0
    try:
        for hands, mask in _TRIALS:
            distance_mm = _trial_mm(network, card, runtime, hands, mask)
            if not distance_mm <= PARITY_MM:  # NaN too
                raise EngineError(
                    f"network {card.model_id}: joints of the exported file lie {distance_mm:.3g} mm from torch's with "
                    f"the view mask {mask}; at most {PARITY_MM} mm is allowed, so no file was written"
                )
            worst_mm = max(worst_mm, distance_mm)
    finally:
        runtime.close()
    return worst_mm


def _trial_mm(
    network: UstHandNetwork, card: ModelCard, runtime: OnnxRuntimeRuntime, hands: int, mask: tuple[float, ...]
) -> float:
    """Distance of the file's joints to torch's with some views, millimetres: the least of a few draws, if need be."""
    best_mm = math.nan
    for draw in range(_DRAWS):
        inputs = trial_inputs(card, hands, len(mask), seed=_DRAWS * len(mask) + draw)
        inputs.view_mask[:] = mask
        got = runtime.run(inputs)
        best_mm = np.fmin(best_mm, _distance_mm(got, by_torch(network, inputs)))
        if best_mm <= PARITY_MM:
            break
        # Torch rounds as well, and by as much where rays of random weights hardly meet: ask it for all digits. And
        # where two points are equally near to a third, rounding decides which is its neighbour: draw again.
        best_mm = np.fmin(best_mm, _distance_mm(got, by_torch(copy.deepcopy(network).double(), inputs)))
        if best_mm <= PARITY_MM:
            break
    return float(best_mm)


def by_torch(network: UstHandNetwork, inputs: NetworkInputs) -> NetworkOutputs:
    """What torch answers, computed in the precision of the network's weights."""
    kind = next(network.parameters()).dtype
    tensors = (torch.from_numpy(getattr(inputs, name)) for name in INPUT_NAMES)
    with torch.inference_mode():
        answer = network.step(*(x.to(kind) if x.is_floating_point() else x for x in tensors))
    return NetworkOutputs(*(getattr(answer, name).numpy() for name in READ_OUTPUTS))


def _distance_mm(one: NetworkOutputs, other: NetworkOutputs) -> float:
    """Largest distance of a joint; where fewer than two views fix none, 0 if both say so and NaN if not."""
    if other.valid.all():
        differences = [getattr(one, name) - getattr(other, name) for name in ("joints", "mano_joints")]
        return 1000 * float(np.linalg.norm(differences, axis=-1).max())
    finite = all(np.isfinite(getattr(one, entry.name)).all() for entry in fields(one))
    return 0.0 if finite and not (one.valid.any() or other.valid.any()) else math.nan


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that whoever looks finds the old one or the new one, never a part."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
