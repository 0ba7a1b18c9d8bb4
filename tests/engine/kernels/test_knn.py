"""kNN: the kernel's core on the host, and the operator of PyTorch on a CPU, against ONNX's TopK."""

from __future__ import annotations

import ctypes
from contextlib import nullcontext

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402
from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402

from engine.errors import EngineError  # noqa: E402
from engine.kernels import knn_op, operators  # noqa: E402
from engine.kernels.library import KNN_POINTS, KernelLibrary  # noqa: E402
from engine.network.point_transformer import first_rows, gather_points, nearest  # noqa: E402
from tests.engine.kernels.clouds import KINDS, cloud  # noqa: E402

SIZES = [
    (1, 21, 21, 8),
    (2, 21, 21, 21),
    (1, 21, 336, 16),
    (3, 5, 672, 16),
    (1, 21, 1344, 32),
    (1, 1, 33, 32),
    (1, 3, 2, 2),
]


def by_onnx(queries: NDArray[np.float32], points: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """What an exported network computes: differences, their squares, their sum, TopK."""
    nodes = [
        helper.make_node("Unsqueeze", ["q", "two"], ["a"]),
        helper.make_node("Unsqueeze", ["p", "one"], ["b"]),
        helper.make_node("Sub", ["a", "b"], ["d"]),
        helper.make_node("Mul", ["d", "d"], ["s"]),
        helper.make_node("ReduceSum", ["s", "last"], ["r"], keepdims=0),
        helper.make_node("TopK", ["r", "k"], ["values", "indices"], largest=0, sorted=1),
    ]
    numbers = {"two": [2], "one": [1], "last": [-1], "k": [k]}
    initializers = [helper.make_tensor(name, TensorProto.INT64, [1], value) for name, value in numbers.items()]
    graph = helper.make_graph(
        nodes,
        "knn",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None, 3]) for name in ("q", "p")],
        [helper.make_tensor_value_info("indices", TensorProto.INT64, [None, None, None])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (indices,) = session.run(["indices"], {"q": queries, "p": points})
    return np.asarray(indices)


def by_host(
    kernels: ctypes.CDLL, queries: NDArray[np.float32], points: NDArray[np.float32], k: int, held: int
) -> NDArray[np.int32]:
    batch, count, _ = queries.shape
    indices = np.full((batch, count, k), -1, np.int32)
    addresses = (array.ctypes.data_as(ctypes.c_void_p) for array in (queries, points, indices))
    kernels.host_knn(*addresses, batch, count, points.shape[1], k, held)
    return indices


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_kernel_gives_what_an_exported_network_gives(
    host_kernels: ctypes.CDLL, kind: str, size: tuple[int, int, int, int]
) -> None:
    batch, queries_count, points_count, k = size
    queries, points = cloud(kind, batch, queries_count, points_count, seed=k)
    wanted = by_onnx(queries, points, k)
    if kind != "random" and points_count > 2:
        # Or there would be nothing to see of ties.
        assert any(len(set(row)) < len(row) for row in distances(queries, points).reshape(-1, points_count))
    for held in KNN_POINTS:
        if held >= points_count:
            np.testing.assert_array_equal(by_host(host_kernels, queries, points, k, held), wanted)


def distances(queries: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = (queries[:, :, None] - points[:, None]) ** 2
    return np.asarray(squares[..., 0] + squares[..., 1] + squares[..., 2], np.float32)


def test_a_point_that_is_no_number_comes_last(host_kernels: ctypes.CDLL) -> None:
    queries, points = cloud("random", 1, 4, 21, seed=1)
    points[0, [0, 7]] = np.nan
    points[0, 3] = np.inf
    got = by_host(host_kernels, queries, points, 21, 32)
    assert (got[0, :, -3:] == [3, 0, 7]).all()
    assert (knn_op.knn(torch.from_numpy(queries), torch.from_numpy(points), 21).numpy() == got).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_operator_on_a_cpu_keeps_the_order(kind: str) -> None:
    queries, points = cloud(kind, 2, 21, 336, seed=5)
    got = knn_op.knn(torch.from_numpy(queries), torch.from_numpy(points), 16)
    np.testing.assert_array_equal(got.numpy(), by_onnx(queries, points, 16))


def test_the_operator_keeps_to_what_pytorch_asks_of_one() -> None:
    queries, points = torch.randn(2, 21, 3, requires_grad=True), torch.randn(2, 63, 3, requires_grad=True)
    torch.library.opcheck(torch.ops.usthand.knn.default, (queries, points, 16))
    # Training goes through it, without a gradient and without a warning.
    indices = knn_op.knn(queries, points, 3)
    gather_points(points, indices, first_rows(points)).sum().backward()
    assert queries.grad is None
    assert points.grad is not None
    assert points.grad.sum() == 2 * 21 * 3 * 3


@pytest.mark.parametrize(
    ("queries", "points", "k", "words"),
    [
        (torch.zeros(2, 21, 2), torch.zeros(2, 21, 3), 3, r"\(2, 21, 2\)"),
        (torch.zeros(2, 21, 3), torch.zeros(1, 21, 3), 3, "2 sets of queries have 1"),
        (torch.zeros(2, 21, 3), torch.zeros(2, 21, 3).double(), 3, "float64"),
        (torch.zeros(2, 21, 3), torch.zeros(2, 21, 3), 22, "22 nearest of 21"),
        (torch.zeros(2, 21, 3), torch.zeros(2, 63, 3), 33, "33 nearest of 63"),
        (torch.zeros(2, 21, 3), torch.zeros(2, 1345, 3), 3, "1345 points"),
    ],
)
def test_what_the_operator_does_not_take(queries: torch.Tensor, points: torch.Tensor, k: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        knn_op.knn(queries, points, k)


def operators_of(device: str) -> set[str]:
    """What `nearest` is compiled to for tensors of a device, which need not be there, without a graph break."""
    seen: set[str] = set()

    def backend(graph: torch.fx.GraphModule, _: list[torch.Tensor]) -> torch.fx.GraphModule:
        seen.update(str(node.target) for node in graph.graph.nodes if node.op.startswith("call_"))
        return graph

    torch.compiler.reset()
    with FakeTensorMode():
        queries, points = (torch.empty(2, count, 3, device=device) for count in (21, 336))
        got = torch.compile(nearest, backend=backend, fullgraph=True)(queries, points, 16)
    assert got.device.type == device
    assert got.shape == (2, 21, 16)
    assert got.dtype == torch.int64
    return seen


def test_neighbours_on_a_gpu_are_found_by_the_kernel() -> None:
    assert operators_of("cuda") == {"usthand.knn"}


def test_neighbours_on_a_cpu_are_found_by_what_can_be_exported() -> None:
    assert "topk" in operators_of("cpu")
    assert not any("usthand" in name for name in operators_of("cpu"))


@pytest.mark.parametrize(
    ("kind", "count", "k"), [(torch.float64, 336, 16), (torch.float32, 1345, 16), (torch.float32, 336, 33)]
)
def test_what_the_kernel_does_not_hold_is_left_to_pytorch(kind: torch.dtype, count: int, k: int) -> None:
    with FakeTensorMode():
        queries, points = (torch.empty(1, number, 3, device="cuda", dtype=kind) for number in (21, count))
        assert not knn_op.kernel_fits(queries, points, k)


def test_a_gpu_that_the_kernels_do_not_load_on_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> KernelLibrary:
        raise EngineError("the GPU has compute capability 7.0")

    operators.loaded_library.cache_clear()
    monkeypatch.setattr(operators, "KernelLibrary", refuse)
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: None)
    assert operators.loaded_library(0) is None
    assert operators.loaded_library(0) is None
    assert [record.getMessage() for record in caplog.records] == [
        "PyTorch's operators are used, which are slower: the GPU has compute capability 7.0"
    ]
    operators.loaded_library.cache_clear()
