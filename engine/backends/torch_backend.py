"""An exported network in PyTorch: the file's own weights in the network that its card describes.

The graph in the file is not read. Export keeps each weight under its name in the network, so the file is all that is
needed; the hand model is the one that the card names, since no weight of it is in a checkpoint.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import external_data_helper, numpy_helper

from engine.backends.base import (
    INPUT_NAMES,
    READ_OUTPUTS,
    REMEDY,
    NetworkInputs,
    NetworkOutputs,
    check_inputs,
    read_model,
)
from engine.errors import EngineError
from engine.hand_model.model import HandModel
from engine.model_card import ModelCard
from engine.network.config import NetworkConfig
from engine.network.network import UstHandNetwork
from engine.network.weights import fit_state_dict, weight_names


class TorchRuntime:
    """An exported network in PyTorch, on the CPU.

    Args:
        path: The file.
        threads: So many compute one step, and everything else that this process does in PyTorch; None leaves
            PyTorch's own number.
        hand_model: The hand model that the card names; None is the embedded one.

    Raises:
        EngineError: If the file cannot be read, is no such network, or was made with another hand model.
    """

    def __init__(self, path: Path, threads: int | None = None, hand_model: HandModel | None = None) -> None:
        if threads is not None:
            if threads < 1:
                raise EngineError(f"threads is {threads}; use one at least")
            torch.set_num_threads(threads)
        network, self._card = load_exported(path, hand_model)
        self._network: UstHandNetwork | None = network

    @property
    def card(self) -> ModelCard:
        """Which network it is."""
        return self._card

    @property
    def backend(self) -> str:
        """PyTorch's version, what it runs on, and its threads."""
        threads = torch.get_num_threads()
        return f"torch {torch.__version__} CPU, {threads} thread{'s' if threads > 1 else ''}"

    def run(self, inputs: NetworkInputs) -> NetworkOutputs:
        """Take one step.

        Raises:
            EngineError: If the inputs are not the network's, the runtime fails, or it is closed.
        """
        if self._network is None:
            raise EngineError(f"network {self._card.model_id} is closed; open it again")
        check_inputs(inputs, self._card)
        try:
            with torch.inference_mode():
                answer = self._network.step(*(torch.from_numpy(getattr(inputs, name)) for name in INPUT_NAMES))
        except RuntimeError as error:
            raise EngineError(f"network {self._card.model_id}: torch failed ({error})") from error
        return NetworkOutputs(*(getattr(answer, name).numpy() for name in READ_OUTPUTS))

    def close(self) -> None:
        """Give back memory."""
        self._network = None


def load_exported(path: Path, hand_model: HandModel | None = None) -> tuple[UstHandNetwork, ModelCard]:
    """Read an exported network back: to run it in PyTorch, or to train on.

    Args:
        path: The file.
        hand_model: The hand model that its card names; None is the embedded one.

    Returns:
        The network, ready to evaluate, and the file's card.

    Raises:
        EngineError: If the file cannot be read, is no such network, or was made with another hand model.
    """
    source = str(path)
    model = _parsed(read_model(path), source)
    card = ModelCard.from_metadata({entry.key: entry.value for entry in model.metadata_props}, source)
    hand_model = HandModel.load() if hand_model is None else hand_model
    if hand_model.sha256 != card.hand_model_sha256:
        raise EngineError(
            f"{source}: was made with hand model {card.hand_model} (sha256 {card.hand_model_sha256[:12]}), not "
            f"{hand_model.name} (sha256 {hand_model.sha256[:12]}); give that one with --hand-model"
        )
    try:
        network = UstHandNetwork(NetworkConfig.from_dict(card.config), hand_model, pretrained=False)
    except EngineError as error:
        raise EngineError(f"{source}: {error}") from error
    used = weight_names(network)
    weights = {entry.name: _tensor(entry, source) for entry in model.graph.initializer if entry.name in used}
    fit_state_dict(network, weights, source)
    return network.eval(), card


def _parsed(content: bytes, source: str) -> onnx.ModelProto:
    try:
        return onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own type is not onnx's
        raise EngineError(f"{source}: is no ONNX file, or an incomplete one; {REMEDY}") from error


def _tensor(entry: onnx.TensorProto, source: str) -> torch.Tensor:
    if external_data_helper.uses_external_data(entry):
        raise EngineError(f"{source}: keeps {entry.name} in another file; {REMEDY}")
    try:
        return torch.tensor(numpy_helper.to_array(entry))
    except (ValueError, TypeError) as error:
        raise EngineError(f"{source}: {entry.name} cannot be read ({error}); {REMEDY}") from error
