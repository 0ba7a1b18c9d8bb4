"""What TensorRT is told of the plugin: the shape of its answer, its kernel, its launch."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("onnx")

from engine.backends.gpu_device import Gpu
from engine.backends.knn_plugin import register_plugin
from engine.backends.plan_builder import plugin_kind
from engine.backends.tensorrt_api import TensorrtLibrary
from engine.errors import EngineError

H100 = Gpu("NVIDIA H100", (9, 0), "580.65.06")


class Description:
    """`tensorrt.plugin.TensorDesc` of fixed sizes."""

    def __init__(self, *shape: int) -> None:
        self.shape = self.shape_expr = shape
        self.dtype = "float32"

    def like(self) -> Description:
        """Another one."""
        return Description(*self.shape)


class Expressions(list[Any]):
    """`ShapeExprs` and `SymIntExprs`."""

    @classmethod
    def from_tuple(cls, values: Any) -> Expressions:
        """Of values."""
        return cls(values)


class Plugins(types.SimpleNamespace):
    """`tensorrt.plugin`."""

    def __init__(self) -> None:
        super().__init__(TensorDesc=Description, ShapeExprs=Expressions, SymIntExprs=Expressions, SymInt32=int)
        self.KernelLaunchParams = types.SimpleNamespace
        self.told: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[Callable[..., Any]], None]:
        """Take a description."""
        assert f"describe {name}" not in self.told
        return lambda described: self.told.__setitem__(f"describe {name}", described)

    def aot_impl(self, name: str) -> Callable[[Callable[..., Any]], None]:
        """Take an implementation."""
        return lambda implemented: self.told.__setitem__(f"implement {name}", implemented)


@pytest.fixture
def library() -> TensorrtLibrary:
    """TensorRT, which takes plugins."""
    return TensorrtLibrary("tensorrt", "11.4", types.SimpleNamespace(int32="int32"), Plugins())


def test_the_answer_is_k_indices_a_query(library: TensorrtLibrary) -> None:
    register_plugin(library, H100)
    describe = library.plugins.told["describe usthand::knn"]  # type: ignore[union-attr]
    indices = describe(Description(2, 21, 3), Description(2, 672, 3), 16)
    assert (indices.dtype, list(indices.shape_expr)) == ("int32", [2, 21, 16])
    # TensorRT tells tensors from attributes by the annotations.
    kinds = {name: parameter.annotation for name, parameter in inspect.signature(describe).parameters.items()}
    assert kinds == {"queries": Description, "points": Description, "k": int}


@pytest.mark.parametrize(("points", "kernel"), [(21, "usthand_knn_32_plugin"), (672, "usthand_knn_672_plugin")])
def test_the_kernel_gets_a_warp_a_query_and_its_sizes(library: TensorrtLibrary, points: int, kernel: str) -> None:
    register_plugin(library, H100)
    implement = library.plugins.told["implement usthand::knn"]  # type: ignore[union-attr]
    name, ptx, launch, numbers = implement(Description(2, 21, 3), Description(2, points, 3), 16, None, 0)
    assert name == kernel
    assert f".entry {kernel}(".encode() in ptx
    assert (launch.grid_x, launch.block_x, launch.shared_mem) == (42, 32, 0)
    assert numbers == [21, points, 16]


def test_it_is_told_once_in_a_process_and_for_one_kind_of_gpu(library: TensorrtLibrary) -> None:
    register_plugin(library, H100)
    register_plugin(library, H100)
    with pytest.raises(EngineError, match="GPUs of two kinds cannot be built in one process"):
        register_plugin(library, Gpu("NVIDIA L4", (8, 9), "580.65.06"))


def test_a_library_without_plugins_keeps_topk(library: TensorrtLibrary) -> None:
    without = TensorrtLibrary("tensorrt-rtx", "1.7", types.SimpleNamespace(), None)
    assert (plugin_kind(library), plugin_kind(without)) == ("aot", "topk")
    with pytest.raises(EngineError, match=r"tensorrt-rtx 1.7 takes no plugins from Python; build .* --no-plugin"):
        register_plugin(without, H100)
