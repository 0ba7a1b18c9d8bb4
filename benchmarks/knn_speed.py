"""kNN by this project's kernel against PyTorch's topk, on a GPU: microseconds a call, inside CUDA graphs.

    python -m benchmarks.knn_speed

Both compute distances and indices from coordinates. A graph holds many calls one after the other, so that what is
timed is what a call costs inside a frame's graph.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from torch import Tensor

from engine.kernels.knn_op import knn

_CALLS = 100
_REPLAYS = 30
_SHAPES = ((21, 8), (336, 16), (672, 16))


def by_topk(queries: Tensor, points: Tensor, count: int) -> Tensor:
    """The nearest points as the network finds them where there is no kernel."""
    squared = (queries[:, :, None] - points[:, None]).square().sum(dim=-1)
    return squared.topk(count, dim=-1, largest=False).indices


def us_a_call(find: Callable[[], Tensor]) -> float:
    """Median microseconds of a call inside a graph."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            find()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(_CALLS):
            find()
    times = []
    for _ in range(_REPLAYS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) * 1000 / _CALLS)
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; microseconds a call", flush=True)
    print("| hands | points | k | topk | compiled topk | kernel | faster than the better |", flush=True)
    print("|---|---|---|---|---|---|---|", flush=True)
    compiled = torch.compile(by_topk, dynamic=False)
    for hands in (1, 2):
        for points_count, count in _SHAPES:
            queries, points = (torch.randn(hands, number, 3, device="cuda") for number in (21, points_count))
            eager, fused, own = (
                us_a_call(lambda find=find, q=queries, p=points, k=count: find(q, p, k))  # type: ignore[misc]
                for find in (by_topk, compiled, knn)
            )
            row = f"| {hands} | {points_count} | {count} | {eager:.1f} | {fused:.1f} | {own:.1f} |"
            print(f"{row} {min(eager, fused) / own:.1f} |", flush=True)


if __name__ == "__main__":
    main()
