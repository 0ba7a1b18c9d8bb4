"""Weights from files: read without running what is in them, and never half loaded."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.errors import EngineError


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a state dict that `torch.save` wrote, alone or under `state_dict` or `model`.

    Raises:
        EngineError: If the file cannot be read, holds more than tensors, or is no state dict.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise EngineError(
            f"weights {path}: more than tensors, or damaged; give a state dict that torch.save wrote"
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise EngineError(
            f"weights {path}: cannot be read ({error}); give a state dict that torch.save wrote"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise EngineError(f"weights {path}: no state dict, names with tensors; give one")
    return dict(content)


def assign(module: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> None:
    """Set all weights of a module.

    Args:
        module: Whose weights.
        state: A tensor for each name of the module's own state dict, and no other.
        source: Where they are from, for the message.

    Raises:
        EngineError: If a name is missing or too many, or a shape differs; the module is unchanged then.
    """
    own = module.state_dict()
    problems = [f"{name} is missing" for name in own if name not in state]
    problems += [f"{name} is unknown" for name in state if name not in own]
    problems += [
        f"{name} is {tuple(state[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if problems:
        listed = "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")
        raise EngineError(f"weights {source}: not those of this {type(module).__name__}: {listed}")
    module.load_state_dict(state)
