"""What the operators of PyTorch have in common that are kernels of the project's own on a GPU."""

from __future__ import annotations

import logging
from functools import cache

import torch
from torch import Tensor

from engine.errors import EngineError
from engine.kernels.library import KernelLibrary


@cache
def loaded_library(index: int) -> KernelLibrary | None:
    """The kernels on one of this process's GPUs; None where they cannot be loaded."""
    with torch.cuda.device(index):
        # Makes this thread use the device's context, which it may not have done yet.
        torch.cuda.mem_get_info()
        try:
            return KernelLibrary()
        except EngineError as error:
            logging.getLogger(__name__).warning("PyTorch's operators are used, which are slower: %s", error)
            return None


def check_shapes(operator: str, **given: tuple[Tensor, tuple[int, ...]]) -> None:
    """Refuse float32 tensors of another shape than they must have.

    Raises:
        ValueError: If a shape or a type is another.
    """
    for name, (tensor, shape) in given.items():
        if tensor.shape != shape or tensor.dtype != torch.float32:
            raise ValueError(
                f"{operator}: {name} is {tensor.dtype} of {tuple(tensor.shape)}; it must be float32 of {shape}"
            )
