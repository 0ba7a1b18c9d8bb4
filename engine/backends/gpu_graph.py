"""Work that PyTorch captures as one CUDA graph, since it alone knows its memory."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch

from engine.backends.graph_launch import GraphLaunch


class CapturedGraph:
    """A captured graph, ready to launch on the stream that it was captured on.

    Args:
        work: Launches the work on the current stream. It must have run before: nothing may be allocated by a library or
            compiled while it is captured.
        stream: The stream.

    Raises:
        EngineError: If the driver refuses.
    """

    def __init__(self, work: Callable[[], None], stream: torch.cuda.Stream) -> None:
        driver: Any = importlib.import_module("cuda.bindings.driver")
        # Holds the memory that the work used.
        self._captured = torch.cuda.CUDAGraph(keep_graph=True)
        with torch.cuda.graph(self._captured, stream=stream, capture_error_mode="thread_local"):
            work()
        # The driver launches it: PyTorch also looks after random numbers, of which there are none.
        graph = driver.CUgraph(self._captured.raw_cuda_graph())
        self._launch = GraphLaunch(driver, graph, stream.cuda_stream)

    @property
    def nodes(self) -> int:
        """Kernels and copies in it."""
        return self._launch.nodes

    def launch(self) -> None:
        """Launch it.

        Raises:
            EngineError: If the driver refuses.
        """
        self._launch.launch()

    def close(self) -> None:
        """Give back its memory; it must have finished."""
        try:
            self._launch.close()
        finally:
            self._captured.reset()
