"""The kernels on a GPU, against brute force and against the CPU. What they write to is poisoned before."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from engine.backends.gpu_interaction import KernelInteraction  # noqa: E402
from engine.backends.gpu_stpt import KernelTransformer  # noqa: E402
from engine.backends.locked_memory import LockedMemory  # noqa: E402
from engine.crops import CropCamera, crop_nodes  # noqa: E402
from engine.kernels import knn_op, operators  # noqa: E402
from engine.kernels.library import KernelLibrary  # noqa: E402
from engine.kernels.places import PLACE, nodes_along  # noqa: E402
from engine.network.config import preset  # noqa: E402
from engine.network.point_transformer import nearest  # noqa: E402
from tests.engine.backends.sampling import sampled_crop  # noqa: E402
from tests.engine.kernels.clouds import KINDS, cloud  # noqa: E402
from tests.engine.kernels.rectangles import a_memory, assert_fetched, rectangles, room  # noqa: E402
from tests.engine.kernels.test_crops import GREY_LEVELS, SIZE_PX, a_camera, a_picture, cpu_crop  # noqa: E402
from tests.engine.kernels.test_interaction import given as interaction_inputs  # noqa: E402
from tests.engine.kernels.test_interaction import interaction_of  # noqa: E402
from tests.engine.kernels.test_stpt import assert_close, inputs, transformer  # noqa: E402

pytestmark = pytest.mark.gpu

POISON = -99


@pytest.fixture(scope="module")
def kernels() -> KernelLibrary:
    torch.zeros(1, device="cuda")
    return KernelLibrary()


def brute_force(queries: NDArray[np.float32], points: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Distances rounded as the kernel must round them, and a stable sort of them."""
    squares = (queries[:, :, None] - points[:, None]) ** 2
    distances = (squares[..., 0] + squares[..., 1]) + squares[..., 2]
    return np.argsort(distances, axis=-1, kind="stable")[..., :k]


def launched(
    kernels: KernelLibrary, queries: NDArray[np.float32], points: NDArray[np.float32], k: int, *, wide: bool
) -> NDArray[Any]:
    """Indices by the kernel, with guards around what it may write to."""
    batch, queries_count, _ = queries.shape
    there = torch.from_numpy(queries).cuda(), torch.from_numpy(points).cuda()
    size = batch * queries_count * k
    out = torch.full((size + 64,), POISON, dtype=torch.int64 if wide else torch.int32, device="cuda")
    kernels.knn(
        torch.cuda.current_stream().cuda_stream,
        there[0].data_ptr(),
        there[1].data_ptr(),
        out[32:].data_ptr(),
        batch=batch,
        queries_count=queries_count,
        points_count=points.shape[1],
        k=k,
        wide=wide,
    )
    got = out.cpu().numpy()
    assert (got[:32] == POISON).all()
    assert (got[32 + size :] == POISON).all()
    return got[32 : 32 + size].reshape(batch, queries_count, k)


def test_neighbours_are_those_of_brute_force_on_fresh_points(kernels: KernelLibrary) -> None:
    seed = int(np.random.default_rng().integers(1 << 30))
    rng = np.random.default_rng(seed)
    for trial in range(200):
        batch, queries_count, hypotheses = (int(rng.integers(1, most)) for most in (5, 22, 65))
        points_count = 21 * hypotheses
        k = int(rng.integers(2, min(32, points_count) + 1))
        kind = KINDS[trial % len(KINDS)]
        queries, points = cloud(kind, batch, queries_count, points_count, seed=seed + trial)
        wanted = brute_force(queries, points, k)
        for wide in (False, True):
            got = launched(kernels, queries, points, k, wide=wide)
            what = f"seed {seed + trial}, {kind}, B {batch}, Q {queries_count}, P {points_count}, k {k}, wide {wide}"
            np.testing.assert_array_equal(got, wanted, err_msg=what)


@pytest.mark.parametrize("points_count", [2, 21, 31, 32, 33, 336, 383, 384, 385, 671, 672, 673, 1343, 1344])
def test_every_kernel_up_to_its_last_point(kernels: KernelLibrary, points_count: int) -> None:
    for k in {2, min(8, points_count), min(16, points_count), min(32, points_count)}:
        for kind in KINDS:
            queries, points = cloud(kind, 4, 21, points_count, seed=k)
            got = launched(kernels, queries, points, k, wide=True)
            np.testing.assert_array_equal(got, brute_force(queries, points, k), err_msg=f"{kind}, k {k}")


def test_points_that_are_no_numbers_come_last(kernels: KernelLibrary) -> None:
    queries, points = cloud("random", 2, 21, 336, seed=1)
    points[:, 10:] = np.nan
    points[:, 3] = np.inf
    got = launched(kernels, queries, points, 16, wide=False)
    assert (got[..., 9] == 3).all()
    assert (got[..., 10:] == np.arange(10, 16)).all()


def test_a_captured_graph_sees_new_points_each_time() -> None:
    queries, points = (torch.randn(2, count, 3, device="cuda") for count in (21, 336))
    knn_op.knn(queries, points, 16)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        indices = knn_op.knn(queries, points, 16)
    for _ in range(5):
        points.normal_()
        indices.fill_(POISON)
        graph.replay()
        np.testing.assert_array_equal(
            indices.cpu().numpy(), brute_force(queries.cpu().numpy(), points.cpu().numpy(), 16)
        )


def test_the_network_finds_neighbours_by_the_kernel_in_any_thread() -> None:
    queries, points = (torch.randn(1, count, 3, device="cuda") for count in (21, 672))
    wanted = brute_force(queries.cpu().numpy(), points.cpu().numpy(), 16)
    assert operators.loaded_library(queries.device.index) is not None
    found = [nearest(queries, points, 16)]

    def elsewhere() -> None:
        # Strided too, as slices of a longer list are.
        wider = torch.zeros(1, 672, 5, device="cuda")
        wider[..., 1:4] = points
        with torch.cuda.stream(torch.cuda.Stream()):
            found.append(nearest(queries, wider[..., 1:4], 16))
            torch.cuda.current_stream().synchronize()

    torch.cuda.synchronize()
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert len(found) == 2
    for indices in found:
        assert indices.dtype == torch.int64
        np.testing.assert_array_equal(indices.cpu().numpy(), wanted)


def sampled(
    kernels: KernelLibrary,
    pixels: NDArray[np.uint8],
    places: NDArray[np.void],
    nodes: NDArray[np.float32],
    size_px: int,
) -> NDArray[np.uint8]:
    """Crops by the kernel, with guards around what it may write to."""
    there = [torch.from_numpy(array.view(np.uint8).reshape(-1)).cuda() for array in (pixels, places, nodes)]
    size = len(places) * size_px * size_px * 3
    out = torch.full((size + 512,), 77, dtype=torch.uint8, device="cuda")
    kernels.sample_crops(
        torch.cuda.current_stream().cuda_stream,
        *(array.data_ptr() for array in there),
        out[256:].data_ptr(),
        count=len(places),
        size_px=size_px,
    )
    got = out.cpu().numpy()
    assert (got[:256] == 77).all()
    assert (got[256 + size :] == 77).all()
    return got[256 : 256 + size].reshape(-1, size_px, size_px, 3)


@pytest.mark.parametrize("mirrored", [False, True])
def test_crops_are_those_of_a_cpu(kernels: KernelLibrary, mirrored: bool) -> None:
    camera, picture = a_camera(), a_picture()
    # From well inside of the picture to over its border.
    crops = [CropCamera(240.0, SIZE_PX, turned(angle)) for angle in np.linspace(-0.6, 0.6, 8)]
    places = np.zeros(9, PLACE)
    places["stride"], places["width"], places["height"] = 3 * 320, 320, 240
    places["mirrored"], places["valid"] = mirrored, True
    places["valid"][-1] = False
    nodes = np.stack([crop_nodes(camera, crop) for crop in (*crops, crops[0])])
    got = sampled(kernels, picture, places, nodes, SIZE_PX)
    wanted = np.stack([cpu_crop(picture, camera, crop, mirrored=mirrored) for crop in crops])
    assert (wanted == 0).all(axis=-1).any()
    assert np.abs(got[:-1].astype(int) - wanted).max() <= GREY_LEVELS
    assert not got[-1].any()


@pytest.mark.parametrize("size_px", [32, 96, 224, 256])
def test_crops_of_noise_out_of_packed_rectangles(kernels: KernelLibrary, size_px: int) -> None:
    rng = np.random.default_rng()
    along, count = nodes_along(size_px), 6
    places, nodes, offset = np.zeros(count, PLACE), [], 256
    for index in range(count):
        width, height = (int(number) for number in rng.integers(1, 200, 2))
        stride = 3 * width + int(rng.integers(0, 7))
        corner = rng.integers(-50, 500, 2)
        places[index] = (offset, stride, width, height, *corner, index % 2, index != 3, 0, 0)
        offset += stride * height
        steps = np.linspace(-0.2, 1.2, along)
        grid = np.stack(np.meshgrid(steps * width, steps * height), axis=-1) + corner
        nodes.append(grid + rng.normal(size=grid.shape))
    pixels = rng.integers(0, 256, offset, dtype=np.uint8)
    at = np.stack(nodes).astype(np.float32)
    got = sampled(kernels, pixels, places, at, size_px)
    for index in range(count):
        wanted = sampled_crop(pixels, places[index], at[index], size_px)
        # Float32 has the last rounding to itself, and rounds places of noise of 255 levels a pixel.
        assert np.abs(got[index].astype(int) - wanted).max() <= 1, f"{places[index]}"


@pytest.mark.parametrize("most_px", [3, 90, 400])
def test_pixels_are_fetched_out_of_the_hosts_memory(kernels: KernelLibrary, most_px: int) -> None:
    seed = int(np.random.default_rng().integers(1 << 30))
    memory = a_memory(3 << 20, seed)
    locked = LockedMemory()
    locked.lock(memory)
    start = locked.address(memory[:300].reshape(10, 10, 3))
    assert start is not None, "the memory is not locked"
    places = rectangles(memory, start, 16, seed=seed, most_px=most_px)
    size = room(places)
    records = torch.from_numpy(places.view(np.uint8)).cuda()
    pixels = torch.full((size + 512,), 77, dtype=torch.uint8, device="cuda")
    work = torch.cuda.Stream()

    def launch() -> None:
        kernels.gather_pixels(work.cuda_stream, records.data_ptr(), pixels[256:].data_ptr(), count=len(places))

    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=work):
        launch()
    for turn in range(3):
        # What the host wrote since the last launch is what is seen.
        memory[:] = np.random.default_rng(seed + turn).integers(0, 256, memory.size, dtype=np.uint8)
        pixels.fill_(77)
        torch.cuda.synchronize()
        if turn == 2:
            launch()
        else:
            graph.replay()
        torch.cuda.synchronize()
        got = pixels.cpu().numpy()
        assert (got[:256] == 77).all()
        assert (got[256 + size :] == 77).all()
        assert_fetched(places, memory, start, got[256 : 256 + size], 77)
    locked.close()
    assert locked.address(memory[:300].reshape(10, 10, 3)) is None


def test_nodes_that_lie_nowhere_sample_nothing(kernels: KernelLibrary) -> None:
    nodes = np.full((2, nodes_along(SIZE_PX), nodes_along(SIZE_PX), 2), -1e4, np.float32)
    nodes[1] = 3e38
    places = np.zeros(2, PLACE)
    places["stride"], places["width"], places["height"], places["valid"] = 3 * 320, 320, 240, True
    assert not sampled(kernels, a_picture(), places, nodes, SIZE_PX).any()


def turned(angle: float) -> NDArray[np.float64]:
    """A camera's axes turned about its y."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])


@pytest.mark.parametrize("name", ["lite", "resnet34"])
def test_stpt_in_a_captured_graph_answers_as_on_a_cpu(name: str) -> None:
    # Each with a network of its own, since one that moves to the GPU takes its modules along.
    on_cpu = KernelTransformer(transformer(preset(name)))
    on_gpu = KernelTransformer(transformer(preset(name))).cuda()
    given = {key: value.cuda() for key, value in inputs(preset(name), seed=1).items()}

    def step() -> tuple[torch.Tensor, ...]:
        places, features, state = on_gpu(**given)
        return places[-1], features, state

    with torch.no_grad():
        step()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            answer = step()
        for seed in range(3, 8):
            fresh = inputs(preset(name), seed=seed)
            for key, value in fresh.items():
                given[key].copy_(value)
            for tensor in answer:
                tensor.fill_(torch.nan)
            graph.replay()
            places, features, state = on_cpu(**fresh)
            for found, expected in zip(answer, (places[-1], features, state), strict=True):
                # TF32 is off: what is left is the order of sums.
                assert_close(found.cpu(), expected)


@pytest.mark.parametrize(("name", "views"), [("lite", 2), ("lite", 8), ("resnet34", 3), ("resnet34", 8)])
def test_the_interaction_in_a_captured_graph_answers_as_on_a_cpu(name: str, views: int) -> None:
    plain, on_gpu = interaction_of(preset(name)), KernelInteraction(interaction_of(preset(name))).cuda()
    given = [tensor.cuda() for tensor in interaction_inputs(preset(name), views, seed=1)]
    with torch.no_grad():
        on_gpu(*given)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            answer = on_gpu(*given)
        for seed in range(3, 8):
            fresh = interaction_inputs(preset(name), views, seed=seed)
            for place, value in zip(given, fresh, strict=True):
                place.copy_(value)
            answer.fill_(torch.nan)
            graph.replay()
            assert_close(answer.cpu(), plain(*fresh))
