"""How a network runs on a GPU in PyTorch: all that may be set, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Precision = Literal["float16", "bfloat16", "float32"]


@dataclass(frozen=True, slots=True)
class CompileSettings:
    """How PyTorch's compiler is asked to work.

    Args:
        search: Try several kernels for every product of matrices, with what follows it in the same kernel: a start of
            minutes, once, for a step that is a little faster.
    """

    search: bool = False

    def options(self) -> dict[str, Any]:
        """Options of `torch.compile`."""
        options: dict[str, Any] = {
            # The whole step is captured here, with its copies.
            "triton.cudagraphs": False,
            # Sums over views' rows, joints and shape directions become a few instructions of a larger kernel.
            "unroll_reductions_threshold": 24,
            # What was traced is the network in its final form: nothing trains it.
            "shape_padding": False,
        }
        if self.search:
            options |= {
                "max_autotune_gemm": True,
                "max_autotune_gemm_backends": "ATEN,TRITON",
                "autotune_in_subproc": False,
                "epilogue_fusion": True,
            }
        return options


@dataclass(frozen=True, slots=True)
class GpuSettings:
    """How a network runs on a GPU.

    Args:
        device: Number of the GPU.
        precision: Of the trunk, the decoder and the joint graph's maps. All after them, and all geometry, is float32.
        tf32: Products of matrices between features round their factors to ten bits; none of geometry does.
        fused_convolutions: A convolution, what is added to it and its ReLU are one kernel of cuDNN's.
        own_kernels: Parts of the network that have a kernel of the project's own run in it; without, for comparison, in
            PyTorch's operators.
        compiled: How the step is compiled; None runs PyTorch's own kernels.
        captured: The frame is one CUDA graph; without it, for comparison, every kernel is launched by itself.
    """

    device: int = 0
    precision: Precision = "float16"
    tf32: bool = True
    fused_convolutions: bool = True
    own_kernels: bool = True
    compiled: CompileSettings | None = field(default_factory=CompileSettings)
    captured: bool = True
