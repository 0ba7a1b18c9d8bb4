"""The nearest-points kernel as a TensorRT plugin, `usthand::knn`: its PTX goes into the plan.

TensorRT launches it like a kernel of its own: no Python runs with a frame, and nothing of ours is needed beside
the plan.
"""

from __future__ import annotations

from typing import Any, Final

from engine.backends.gpu_device import Gpu
from engine.backends.plan_graph import PLUGIN_NAME, PLUGIN_NAMESPACE
from engine.backends.tensorrt_api import TensorrtLibrary
from engine.errors import EngineError
from engine.kernels.library import knn_plugin_kernel, knn_ptx

PLUGIN_ID: Final = f"{PLUGIN_NAMESPACE}::{PLUGIN_NAME}"
_WARP: Final = 32


def register_plugin(library: TensorrtLibrary, gpu: Gpu) -> None:
    """Tell TensorRT of the plugin, once in a process; what is built from then on may hold it.

    Args:
        library: With `plugins`.
        gpu: The kernel is taken in the form that it runs best.

    Raises:
        EngineError: If the library takes no plugins.
    """
    plugins = library.plugins
    if plugins is None:
        raise EngineError(f"{library} takes no plugins from Python; build the plan with --no-plugin")
    # Kept with the library, which takes a name once in a process.
    if getattr(library.module, _MARK, None) == gpu.capability:
        return
    if hasattr(library.module, _MARK):
        raise EngineError("plans for GPUs of two kinds cannot be built in one process; start another one")

    def describe(queries: Any, points: Any, k: int) -> Any:
        """Shape and type of the indices `(B, Q, k)`."""
        del points
        indices = queries.like()
        indices.dtype = library.module.int32
        indices.shape_expr = plugins.ShapeExprs.from_tuple((queries.shape_expr[0], queries.shape_expr[1], k))
        return indices

    def implement(queries: Any, points: Any, k: int, outputs: Any, tactic: int) -> Any:
        """Kernel, launch and numbers."""
        del outputs, tactic
        launch = plugins.KernelLaunchParams()
        launch.grid_x = queries.shape_expr[0] * queries.shape_expr[1]
        launch.block_x = _WARP
        launch.shared_mem = 0
        numbers = plugins.SymIntExprs.from_tuple(
            [
                plugins.SymInt32(queries.shape_expr[1]),
                plugins.SymInt32(points.shape_expr[1]),
                plugins.SymInt32(k),
            ]
        )
        # Sizes are fixed in a plan, so that one kernel of the set is right for it.
        return knn_plugin_kernel(int(points.shape[1])), knn_ptx(gpu.capability), launch, numbers

    # Read by TensorRT, which tells tensors from attributes by them.
    hints: dict[str, Any] = dict.fromkeys(("queries", "points", "return"), plugins.TensorDesc)
    describe.__annotations__ = {**hints, "k": int}
    implement.__annotations__ = {}
    plugins.register(PLUGIN_ID)(describe)
    plugins.aot_impl(PLUGIN_ID)(implement)
    setattr(library.module, _MARK, gpu.capability)


_MARK: Final = "_usthand_plugin_capability"
