"""A traced step, compiled: its operators joined to as few kernels as PyTorch's compiler can make of them."""

from __future__ import annotations

import warnings
from typing import Final

import torch
from torch import Tensor

from engine.backends.gpu_settings import CompileSettings
from engine.backends.gpu_trace import Step

# PyTorch compiles one function for so many numbers of hands and views, of all networks of a process.
_MOST_COMPILED: Final = 256


def compile_step(step: Step, inputs: tuple[Tensor, ...], settings: CompileSettings) -> Step:
    """Compile a step, and run it once on inputs, which is when that happens."""
    compiled: Step = torch.compile(step, fullgraph=True, dynamic=False, options=settings.options())
    with torch._dynamo.config.patch(recompile_limit=_MOST_COMPILED), warnings.catch_warnings():
        # Advice of the compiler, for whoever writes networks.
        warnings.simplefilter("ignore")
        compiled(*inputs)
    return compiled
