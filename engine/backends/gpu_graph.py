"""Work that was captured as one CUDA graph, and the size of its copy to the GPU, which changes from frame to frame.

PyTorch captures, since it alone knows its memory; the CUDA driver launches, since PyTorch cannot change a graph.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any

import torch

from engine.errors import EngineError
from engine.kernels.library import checked

_LOG = logging.getLogger(__name__)


class CapturedGraph:
    """A captured graph, ready to launch on the stream that it was captured on.

    Args:
        work: Launches the work on the current stream. It must have run before: nothing may be allocated by a library or
            compiled while it is captured.
        stream: The stream.
        upload: Address on the GPU that the work's copy from the host writes to, to find it by; None: it has none.

    Raises:
        EngineError: If the work has no such copy, or the driver refuses.
    """

    def __init__(self, work: Callable[[], None], stream: torch.cuda.Stream, upload: int | None = None) -> None:
        driver: Any = importlib.import_module("cuda.bindings.driver")
        self._driver = driver
        # Holds the memory that the work used.
        self._captured = torch.cuda.CUDAGraph(keep_graph=True)
        with torch.cuda.graph(self._captured, stream=stream, capture_error_mode="thread_local"):
            work()
        graph = driver.CUgraph(self._captured.raw_cuda_graph())
        self._context = checked(driver.cuCtxGetCurrent(), "cuCtxGetCurrent")
        self._nodes = _nodes(driver, graph)
        self._upload = None if upload is None else self._copy_to(upload)
        self._executable: Any = checked(driver.cuGraphInstantiate(graph, 0), "cuGraphInstantiate")
        self._stream = driver.CUstream(stream.cuda_stream)
        if self._upload is not None and not self._resized(self._upload[1].WidthInBytes // 2):
            # A whole copy is right, too; it only takes longer.
            _LOG.warning("this CUDA driver cannot change a copy in a graph: every frame copies all its buffer")
            self._upload = None

    @property
    def nodes(self) -> int:
        """Kernels and copies in it."""
        return len(self._nodes)

    def resize_upload(self, size: int) -> None:
        """Copy so many bytes to the GPU from the next launch on, or more.

        Raises:
            EngineError: If the driver refuses.
        """
        if self._upload is not None and self._upload[1].WidthInBytes != size and not self._resized(size):
            raise EngineError(f"the CUDA driver refuses a copy of {size} bytes in a graph; restart the service")

    def launch(self) -> None:
        """Launch it.

        Raises:
            EngineError: If the driver refuses.
        """
        checked(self._driver.cuGraphLaunch(self._executable, self._stream), "cuGraphLaunch")

    def close(self) -> None:
        """Give back its memory; it must have finished."""
        if self._executable is not None:
            self._driver.cuGraphExecDestroy(self._executable)
            self._executable = None
            self._captured.reset()

    def _resized(self, size: int) -> bool:
        """Change the copy's size in the executable graph; whether that went well."""
        assert self._upload is not None  # noqa: S101 - the callers have seen to it
        node, copy = self._upload
        before, copy.WidthInBytes = copy.WidthInBytes, size
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
