"""Work on a CUDA stream, captured once as a graph; the size of its copy from the host changes from launch to launch.

Only the CUDA driver's own interface is used, on a raw stream handle: who made the stream and the memory, pycuda or
another, does not matter.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any

from engine.errors import EngineError

_LOG = logging.getLogger(__name__)


class FrameGraph:
    """A captured graph, ready to launch.

    Args:
        stream: Handle of the stream that is captured; its context must be current. It must be idle, and the work must
            have run on it before: nothing may be allocated or compiled while it is captured.
        work: Launches the work on the stream.
        upload: Address on the GPU that the work's copy from the host begins at, to find the copy by.
        driver: `cuda.bindings.driver`, or something that answers as it does; None imports it.

    Raises:
        EngineError: If the work cannot be captured, or has no such copy.
    """

    def __init__(self, stream: int, work: Callable[[], None], *, upload: int, driver: Any = None) -> None:
        self._driver: Any = importlib.import_module("cuda.bindings.driver") if driver is None else driver
        self._executable: Any = None
        self._stream = self._driver.CUstream(stream)
        self._context = self._call("cuCtxGetCurrent")
        self._graph = self._captured(work)
        try:
            self._nodes = self._all_nodes()
            self._copy = self._copy_to(upload)
            self._executable = self._call("cuGraphInstantiate", self._graph, 0)
        except EngineError:
            self.close()
            raise
        self._largest = int(self._copy[1].WidthInBytes)
        self._resizable = self._resized(self._largest // 2) and self._resized(self._largest)
        if not self._resizable:
            # A whole copy is right, too; it only takes longer.
            _LOG.warning("this CUDA driver cannot change a copy in a graph: every frame copies all of its buffer")

    @property
    def nodes(self) -> int:
        """Kernels and copies in it."""
        return len(self._nodes)

    def launch(self, size: int) -> None:
        """Launch it, with a copy from the host of so many bytes, or of more.

        Raises:
            EngineError: If the driver refuses.
        """
        if self._resizable and int(self._copy[1].WidthInBytes) != size and not self._resized(size):
            raise EngineError(f"the CUDA driver refuses a copy of {size} bytes in a graph; restart the service")
        self._call("cuGraphLaunch", self._executable, self._stream)

    def close(self) -> None:
        """Give back its memory; it must have finished."""
        if self._executable is not None:
            self._call("cuGraphExecDestroy", self._executable)
            self._executable = None
        if self._graph is not None:
            self._call("cuGraphDestroy", self._graph)
            self._graph = None

    def _captured(self, work: Callable[[], None]) -> Any:
        mode = self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._call("cuStreamBeginCapture", self._stream, mode)
        try:
            work()
        except BaseException:
            # The capture must end, whatever was captured: else the stream is of no use any more.
            code, graph = self._driver.cuStreamEndCapture(self._stream)
            if code == 0:
                self._driver.cuGraphDestroy(graph)
            raise
        return self._call("cuStreamEndCapture", self._stream)

    def _all_nodes(self) -> list[Any]:
        _, count = self._call("cuGraphGetNodes", self._graph, 0)
        nodes, _ = self._call("cuGraphGetNodes", self._graph, count)
        return list(nodes)

    def _copy_to(self, address: int) -> tuple[Any, Any]:
        """The node that copies to an address, and its parameters."""
        kind = self._driver.CUgraphNodeType.CU_GRAPH_NODE_TYPE_MEMCPY
        for node in self._nodes:
            if self._call("cuGraphNodeGetType", node) == kind:
                copy = self._call("cuGraphMemcpyNodeGetParams", node)
                if int(copy.dstDevice) == address:
                    return node, copy
        raise EngineError("the captured graph has no copy to its buffer on the GPU; use --backend onnxruntime")

    def _resized(self, size: int) -> bool:
        """Change the copy's size; whether that went well."""
        node, copy = self._copy
        before, copy.WidthInBytes = int(copy.WidthInBytes), size
        (code,) = self._driver.cuGraphExecMemcpyNodeSetParams(self._executable, node, copy, self._context)
        if code != 0:
            copy.WidthInBytes = before
        return bool(code == 0)

    def _call(self, name: str, *arguments: Any) -> Any:
        code, *answers = getattr(self._driver, name)(*arguments)
        if code != 0:
            raise EngineError(
                f"{name} failed: {getattr(code, 'name', code)}; restart the service, or use --backend onnxruntime"
            )
        if len(answers) > 1:
            return answers
        return answers[0] if answers else None
