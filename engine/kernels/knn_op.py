"""`usthand::knn`: the nearest points as an operator of PyTorch, on a GPU one kernel, eager, compiled or captured.

Importing this registers the operator. On a GPU that the kernel cannot be loaded on, which is said once in the log, and
on a CPU, it sorts; the order is the same.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from engine.kernels.library import MOST_NEIGHBORS, MOST_POINTS
from engine.kernels.operators import loaded_library

_NAME: Final = "usthand::knn"

torch.library.define(_NAME, "(Tensor queries, Tensor points, int k) -> Tensor")


def kernel_fits(queries: Tensor, points: Tensor, k: int) -> bool:
    """Whether these are the kernel's: float32 on a GPU, at most 1344 points and 32 neighbours."""
    return (
        queries.is_cuda
        and queries.dtype == points.dtype == torch.float32
        and k <= MOST_NEIGHBORS
        and points.shape[1] <= MOST_POINTS
    )


def knn(queries: Tensor, points: Tensor, k: int) -> Tensor:
    """Find each query's nearest points.

    Args:
        queries: `(B, Q, 3)` float32.
        points: `(B, P, 3)` float32, on the same device; P is at most 1344.
        k: So many of them, 1..32 and at most P.

    Returns:
        Indices `(B, Q, k)` int64 among the points: by squared distance, the lower index first among equals, NaN last.

    Raises:
        ValueError: If a shape, a type or k is another.
    """
    found: Tensor = torch.ops.usthand.knn(queries, points, k)
    return found


def _check(queries: Tensor, points: Tensor, k: int) -> tuple[int, int, int]:
    """Batch, queries and points; refuses what the kernel would not take."""
    if queries.ndim != 3 or points.ndim != 3 or queries.shape[2] != 3 or points.shape[2] != 3:
        raise ValueError(f"{_NAME} takes (B, Q, 3) and (B, P, 3), not {tuple(queries.shape)} and {tuple(points.shape)}")
    if queries.shape[0] != points.shape[0]:
        raise ValueError(f"{_NAME}: {queries.shape[0]} sets of queries have {points.shape[0]} sets of points")
    if queries.dtype != torch.float32 or points.dtype != torch.float32:
        raise ValueError(f"{_NAME} takes float32, not {queries.dtype} and {points.dtype}")
    if not 1 <= k <= min(MOST_NEIGHBORS, points.shape[1]) or points.shape[1] > MOST_POINTS:
        raise ValueError(
            f"{_NAME}: {k} nearest of {points.shape[1]} points; it finds 1..{MOST_NEIGHBORS} of at most {MOST_POINTS}"
        )
    return queries.shape[0], queries.shape[1], points.shape[1]


def _fake(queries: Tensor, points: Tensor, k: int) -> Tensor:
    _check(queries, points, k)
    return queries.new_empty((queries.shape[0], queries.shape[1], k), dtype=torch.int64)


def _sorted(queries: Tensor, points: Tensor, k: int) -> Tensor:
    _check(queries, points, k)
    difference = queries[:, :, None] - points[:, None]
    x, y, z = (difference * difference).unbind(dim=-1)
    return (x + y + z).sort(dim=-1, stable=True).indices[..., :k].contiguous()


def _launched(queries: Tensor, points: Tensor, k: int) -> Tensor:
    batch, queries_count, points_count = _check(queries, points, k)
    if queries.device != points.device:
        raise ValueError(f"{_NAME}: queries are on {queries.device}, points on {points.device}")
    library = loaded_library(queries.device.index)
    if library is None:
        return _sorted(queries, points, k)
    queries, points = queries.contiguous(), points.contiguous()
    indices = torch.empty((batch, queries_count, k), dtype=torch.int64, device=queries.device)
    library.knn(
        torch.cuda.current_stream(queries.device).cuda_stream,
        queries.data_ptr(),
        points.data_ptr(),
        indices.data_ptr(),
        batch=batch,
        queries_count=queries_count,
        points_count=points_count,
        k=k,
        wide=True,
    )
    return indices


torch.library.register_fake(_NAME, _fake)
torch.library.impl(_NAME, "CPU", _sorted)
torch.library.impl(_NAME, "CUDA", _launched)
