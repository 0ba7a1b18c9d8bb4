"""A captured CUDA graph, launched again and again.

Only the CUDA driver's own interface is used: who captured the graph and made the stream, PyTorch or pycuda, does not
matter.
"""

from __future__ import annotations

from typing import Any

from engine.kernels.driver import checked


class GraphLaunch:
    """An executable graph.

    Args:
        driver: `cuda.bindings.driver`, or something that answers as it does.
        graph: The driver's handle of the captured graph.
        stream: Handle of the stream that it is launched on, whose context is current.

    Raises:
        EngineError: If the driver refuses.
    """

    def __init__(self, driver: Any, graph: Any, stream: int) -> None:
        self._driver = driver
        self._stream = driver.CUstream(stream)
        _, count = checked(driver.cuGraphGetNodes(graph, 0), "cuGraphGetNodes")
        self._nodes = int(count)
        self._executable: Any = checked(driver.cuGraphInstantiate(graph, 0), "cuGraphInstantiate")

    @property
    def nodes(self) -> int:
        """Kernels and copies in it."""
        return self._nodes

    def launch(self) -> None:
        """Launch it.

        Raises:
            EngineError: If the driver refuses.
        """
        checked(self._driver.cuGraphLaunch(self._executable, self._stream), "cuGraphLaunch")

    def close(self) -> None:
        """Give back its memory; it must have finished."""
        if self._executable is not None:
            executable, self._executable = self._executable, None
            checked(self._driver.cuGraphExecDestroy(executable), "cuGraphExecDestroy")
