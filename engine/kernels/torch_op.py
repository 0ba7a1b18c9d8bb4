"""kNN as an operator of PyTorch, `usthand::knn`: the kernel on a GPU, the same order on a CPU.

It is seen as one operator by torch.compile and runs inside a CUDA graph. No gradient flows through it: it answers
indices.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from engine.errors import EngineError
from engine.kernels.library import MOST_NEIGHBORS, MOST_POINTS, KernelLibrary, bindings_reason

HAS_KERNEL = bindings_reason() is None
"""Whether what launches kernels is installed; a GPU may still be missing."""


def kernel_fits(queries: Tensor, points: Tensor, count: int) -> bool:
    """Whether the kernel finds these neighbours: float32 on a GPU, and no more than it holds."""
    return (
        HAS_KERNEL
        and queries.is_cuda
        and queries.dtype == torch.float32
        and count <= MOST_NEIGHBORS
        and points.shape[1] <= MOST_POINTS
    )


@torch.library.custom_op("usthand::knn", mutates_args=(), device_types="cuda")
def knn(queries: Tensor, points: Tensor, count: int) -> Tensor:
    """Find each query's nearest points, nearest first, the lower index first among equals.

    Args:
        queries: `(B, Q, 3)` float32.
        points: `(B, P, 3)` float32, P at most `MOST_POINTS`.
        count: k, at most `MOST_NEIGHBORS`.

    Returns:
        Indices `(B, Q, k)` int64.

    Raises:
        EngineError: If a size is beyond what the kernel holds, or the kernel cannot be loaded or launched.
    """
    if queries.dtype != torch.float32 or points.dtype != torch.float32:
        raise EngineError(f"kNN of {queries.dtype} among {points.dtype}; the kernel takes float32")
    queries, points = queries.contiguous(), points.contiguous()
    batch, queries_count, _ = queries.shape
    indices = torch.empty((batch, queries_count, count), dtype=torch.int64, device=queries.device)
    with torch.cuda.device(queries.device):
        _library(queries.device.index).knn(
            torch.cuda.current_stream().cuda_stream,
            queries.data_ptr(),
            points.data_ptr(),
            indices.data_ptr(),
            batch=batch,
            queries_count=queries_count,
            points_count=points.shape[1],
            k=count,
            wide=True,
        )
    return indices


@knn.register_fake
def _(queries: Tensor, points: Tensor, count: int) -> Tensor:  # noqa: ARG001 - the operator's own arguments
    return queries.new_empty((queries.shape[0], queries.shape[1], count), dtype=torch.int64)


@knn.register_kernel("cpu")
def _(queries: Tensor, points: Tensor, count: int) -> Tensor:
    x, y, z = (queries[:, :, None] - points[:, None]).unbind(-1)
    squared = (x * x + y * y) + z * z
    # Not topk, which leaves the order of equals open.
    return squared.sort(dim=-1, stable=True).indices[..., :count].contiguous()


@cache
def _library(device: int) -> KernelLibrary:
    """The kernels of a GPU, in the context that PyTorch made for it."""
    torch.cuda.init()
    # Makes the device's context current in this thread, which loading needs.
    torch.cuda.current_stream(device).synchronize()
    return KernelLibrary()
