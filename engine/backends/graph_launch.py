"""A captured CUDA graph, launched again and again; only the size of its copy to the GPU changes from launch to launch.

Only the CUDA driver's own interface is used: who captured the graph and made the stream, PyTorch or pycuda, does not
matter.
"""

from __future__ import annotations

import logging
from typing import Any

from engine.errors import EngineError
from engine.kernels.library import checked

_LOG = logging.getLogger(__name__)


class GraphLaunch:
    """An executable graph.

    Args:
        driver: `cuda.bindings.driver`, or something that answers as it does.
        graph: The driver's handle of the captured graph; it must outlive this.
        stream: Handle of the stream that it is launched on, whose context is current.
        upload: Address on the GPU that the graph's copy from the host writes to, to find it by; None: it has none.

    Raises:
        EngineError: If the graph has no such copy, or the driver refuses.
    """

    def __init__(self, driver: Any, graph: Any, stream: int, upload: int | None) -> None:
        self._driver = driver
        self._stream = driver.CUstream(stream)
        self._context = checked(driver.cuCtxGetCurrent(), "cuCtxGetCurrent")
        self._nodes = _nodes(driver, graph)
        self._upload = None if upload is None else self._copy_to(upload)
        self._executable: Any = checked(driver.cuGraphInstantiate(graph, 0), "cuGraphInstantiate")
        if self._upload is not None and not self._resized(int(self._upload[1].WidthInBytes) // 2):
            # A whole copy is right, too; it only takes longer.
            _LOG.warning("this CUDA driver cannot change a copy in a graph: every frame copies all of its buffer")
            self._upload = None

    @property
    def nodes(self) -> int:
        """Kernels and copies in it."""
        return len(self._nodes)

    def launch(self, size: int | None = None) -> None:
        """Launch it.

        Args:
            size: So many bytes, or more, are copied to the GPU; None leaves the copy as it is.

        Raises:
            EngineError: If the driver refuses.
        """
        resizes = size is not None and self._upload is not None and int(self._upload[1].WidthInBytes) != size
        if size is not None and resizes and not self._resized(size):
            raise EngineError(f"the CUDA driver refuses a copy of {size} bytes in a graph; restart the service")
        checked(self._driver.cuGraphLaunch(self._executable, self._stream), "cuGraphLaunch")

    def close(self) -> None:
        """Give back its memory; it must have finished."""
        if self._executable is not None:
            executable, self._executable = self._executable, None
            checked(self._driver.cuGraphExecDestroy(executable), "cuGraphExecDestroy")

    def _resized(self, size: int) -> bool:
        """Change the copy's size; whether that went well."""
        assert self._upload is not None  # noqa: S101 - the callers have seen to it
        node, copy = self._upload
        before, copy.WidthInBytes = int(copy.WidthInBytes), size
        (code,) = self._driver.cuGraphExecMemcpyNodeSetParams(self._executable, node, copy, self._context)
        if code != 0:
            copy.WidthInBytes = before
        return bool(code == 0)

    def _copy_to(self, address: int) -> tuple[Any, Any]:
        """The node that copies to an address, and its parameters."""
        driver = self._driver
        for node in self._nodes:
            kind = checked(driver.cuGraphNodeGetType(node), "cuGraphNodeGetType")
            if kind == driver.CUgraphNodeType.CU_GRAPH_NODE_TYPE_MEMCPY:
                copy = checked(driver.cuGraphMemcpyNodeGetParams(node), "cuGraphMemcpyNodeGetParams")
                if int(copy.dstDevice) == address:
                    return node, copy
        raise EngineError("the captured graph has no copy to its buffer on the GPU; use --backend onnxruntime")


def _nodes(driver: Any, graph: Any) -> list[Any]:
    _, count = checked(driver.cuGraphGetNodes(graph, 0), "cuGraphGetNodes")
    nodes, _ = checked(driver.cuGraphGetNodes(graph, count), "cuGraphGetNodes")
    return list(nodes)
