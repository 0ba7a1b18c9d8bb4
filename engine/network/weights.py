"""Files of trained weights: what training writes, and evaluation and export read.

A file is a torch checkpoint of plain maps, numbers, texts and tensors; reading one runs no code from it.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from engine.errors import EngineError
from engine.hand_model.model import HandModel
from engine.network.config import NetworkConfig
from engine.network.network import UstHandNetwork

SCHEMA: Final = "usthand.weights/1"
"""What this version reads and writes."""

_FAMILY: Final = "usthand.weights/"
_KINDS: Final[Mapping[str, type]] = {
    "config": dict,
    "state_dict": dict,
    "training": dict,
    "metrics": dict,
    "hand_model": dict,
}
_ONLY_TRAINING_READS: Final = ".num_batches_tracked"
_REMEDY: Final = "give a file that `usthand train` wrote"


@dataclass(frozen=True, eq=False, slots=True)
class Weights:
    """Weights with what they belong to.

    Args:
        config: The network that they are of.
        state_dict: Name to tensor, on the CPU.
        training: What they learnt from: data, labels, steps.
        metrics: What they reach.
        hand_model: Name of the hand model that they were trained with.
        hand_model_sha256: Its digest, `HandModel.sha256`.
    """

    config: NetworkConfig
    state_dict: dict[str, Tensor]
    training: dict[str, Any]
    metrics: dict[str, Any]
    hand_model: str
    hand_model_sha256: str

    def build(self, hand_model: HandModel) -> UstHandNetwork:
        """Build the network with these weights, ready to evaluate.

        Raises:
            EngineError: If the weights were trained with another hand model or are of another network.
        """
        if hand_model.sha256 != self.hand_model_sha256:
            raise EngineError(
                f"weights were trained with hand model {self.hand_model} (sha256 {self.hand_model_sha256[:12]}), not "
                f"{hand_model.name} (sha256 {hand_model.sha256[:12]}); give that one with --hand-model, or train again"
            )
        network = UstHandNetwork(self.config, hand_model, pretrained=False)
        fit_state_dict(network, self.state_dict, f"network {self.config.name}")
        return network.eval()


def fit_state_dict(network: UstHandNetwork, state_dict: Mapping[str, Tensor], what: str) -> None:
    """Load weights into a network, all of them and nothing else.

    Raises:
        EngineError: With the first name that is missing, unknown or of another shape.
    """
    wanted = network.state_dict()
    missing = sorted(weight_names(network) - set(state_dict))
    unknown = sorted(set(state_dict) - set(wanted))
    if missing or unknown:
        problem = f"lack {missing[0]}" if missing else f"have {unknown[0]}, which it has not"
        raise EngineError(f"{what}: the weights {problem}; they are of another network or version")
    for name, tensor in state_dict.items():
        if tensor.shape != wanted[name].shape:
            raise EngineError(
                f"{what}: {name} has shape {tuple(tensor.shape)} where {tuple(wanted[name].shape)} is needed; the "
                "weights are of another network or version"
            )
    network.load_state_dict(dict(state_dict), strict=False)


def weight_names(network: UstHandNetwork) -> frozenset[str]:
    """Names of the tensors of a network that decide what it answers; a count of batches seen does not."""
    return frozenset(name for name in network.state_dict() if not name.endswith(_ONLY_TRAINING_READS))


def weights_digest(state_dict: Mapping[str, Tensor]) -> str:
    """Hex digest of names, types, shapes and values, whatever device they are on."""
    digest = hashlib.sha256()
    for name in sorted(state_dict):
        array = state_dict[name].detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def save_weights(
    path: Path,
    network: UstHandNetwork,
    hand_model: HandModel,
    *,
    training: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> None:
    """Write a network's weights; a file that is there is replaced only once the new one is whole.

    Args:
        path: Where to.
        network: Whose.
        hand_model: The hand model that it was trained with.
        training: What it learnt from: data, labels, steps. Plain maps, lists, texts and numbers.
        metrics: What it reaches; plain too.
    """
    content = {
        "schema": SCHEMA,
        "config": network.config.to_dict(),
        "state_dict": {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()},
        "training": dict(training),
        "metrics": dict(metrics),
        "hand_model": {"name": hand_model.name, "sha256": hand_model.sha256},
    }
    part = path.with_name(f"{path.name}.part")
    try:
        torch.save(content, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_weights(path: Path) -> Weights:
    """Read a file of weights.

    Raises:
        EngineError: If it cannot be read or is none, with the reason.
    """
    if not path.is_file():
        raise EngineError(f"{path}: no such file; {_REMEDY}")
    try:
        with warnings.catch_warnings():
            # About pickles that torch did not write; they are refused anyway.
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        reason = str(error).split("\n", 1)[0].split(". ", 1)[0]
        raise EngineError(f"{path}: not a readable file of weights ({reason}); {_REMEDY}") from error
    if not isinstance(content, dict) or "schema" not in content:
        raise EngineError(f"{path}: holds no {SCHEMA}; {_REMEDY}")
    schema = content["schema"]
    if schema != SCHEMA:
        if isinstance(schema, str) and schema.startswith(_FAMILY):
            raise EngineError(f"{path}: {schema} needs a newer usthand; this one reads {SCHEMA}")
        raise EngineError(f"{path}: has the schema {schema!r}; this usthand reads {SCHEMA}")
    for name, kind in _KINDS.items():
        if not isinstance(content.get(name), kind):
            raise EngineError(f"{path}: {name} is missing or no map; {_REMEDY}")
    state_dict = content["state_dict"]
    for name, tensor in state_dict.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise EngineError(f"{path}: state_dict has {name!r}, which is no tensor; {_REMEDY}")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise EngineError(f"{path}: {name} has values that are not finite; train again from an earlier checkpoint")
    hand_model = content["hand_model"]
    for name in ("name", "sha256"):
        if not isinstance(hand_model.get(name), str):
            raise EngineError(f"{path}: hand_model has no {name}; {_REMEDY}")
    try:
        config = NetworkConfig.from_dict(content["config"])
    except EngineError as error:
        raise EngineError(f"{path}: {error}") from error
    return Weights(
        config=config,
        state_dict=state_dict,
        training=content["training"],
        metrics=content["metrics"],
        hand_model=hand_model["name"],
        hand_model_sha256=hand_model["sha256"],
    )
