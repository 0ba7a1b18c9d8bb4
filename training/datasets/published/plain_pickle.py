"""Pickles of others that hold numbers only: anything else in them is refused before it runs."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, Final

import torch

_ARRAYS: Final = frozenset(
    [
        *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
        *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor_v2"),
    ]
)


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            # torch's own would unpickle the bytes inside without asking.
            return lambda content: torch.load(io.BytesIO(content), weights_only=True)
        if (module, name) not in _ARRAYS:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no number")
        return super().find_class(module, name)


def load_plain(path: Path) -> Any:
    """Read a pickle of numbers, NumPy arrays, torch tensors, and plain containers of them.

    Raises:
        ValueError: If it holds anything else, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError) as error:
        raise ValueError(
            f"{path}: cannot be read as numbers ({error}); fetch the file again from its source"
        ) from error
