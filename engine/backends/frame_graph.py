"""Work on a CUDA stream that the CUDA driver captures as one graph: for streams of pycuda, which has no graphs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from engine.backends.graph_launch import GraphLaunch
from engine.errors import EngineError
from engine.kernels.driver import checked


class FrameGraph:
    """A captured graph, ready to launch on the stream that it was captured on.

    Args:
        stream: Handle of the stream that is captured; its context must be current. It must be idle, and the work must
            have run on it before: nothing may be allocated or compiled while it is captured.
        work: Launches the work on the stream.

    Raises:
        EngineError: If the work cannot be captured.
    """

    def __init__(self, stream: int, work: Callable[[], None]) -> None:
        self._driver: Any = importlib.import_module("cuda.bindings.driver")
        self._graph: Any = self._captured(self._driver.CUstream(stream), work)
        try:
            self._launch = GraphLaunch(self._driver, self._graph, stream)
        except EngineError:
            self._destroy()
            raise

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
            self._destroy()

    def _destroy(self) -> None:
        if self._graph is not None:
            graph, self._graph = self._graph, None
            checked(self._driver.cuGraphDestroy(graph), "cuGraphDestroy")

    def _captured(self, stream: Any, work: Callable[[], None]) -> Any:
        mode = self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        checked(self._driver.cuStreamBeginCapture(stream, mode), "cuStreamBeginCapture")
        try:
            work()
        except BaseException:
            # The capture must end, whatever was captured: else the stream is of no use any more.
            code, graph = self._driver.cuStreamEndCapture(stream)
            if code == 0:
                self._driver.cuGraphDestroy(graph)
            raise
        return checked(self._driver.cuStreamEndCapture(stream), "cuStreamEndCapture")
