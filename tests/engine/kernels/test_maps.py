"""The kernels that read maps, on the host, against the network's own modules; and how they are launched."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from engine.errors import EngineError  # noqa: E402
from engine.kernels.library import KernelLibrary, heatmap_parts  # noqa: E402
from engine.kernels.maps_op import heatmap_joints  # noqa: E402
from engine.network.heatmaps import HeatmapHead  # noqa: E402
from tests.engine.kernels.test_library import Driver  # noqa: E402

POISON = -99.0


def address(tensor: torch.Tensor) -> ctypes.c_void_p:
    assert tensor.is_contiguous()
    assert tensor.data_ptr() % 16 == 0
    return ctypes.c_void_p(tensor.data_ptr())


def a_head(channels: int) -> HeatmapHead:
    """One whose maps have a peak here and there, as after training."""
    head = HeatmapHead(channels).requires_grad_(False)
    torch.nn.init.normal_(head.to_heatmaps.weight, 0.0, 0.2 / channels**0.5)
    torch.nn.init.normal_(head.to_heatmaps.bias, 0.0, 0.1)
    return head


def heatmap_arguments(head: HeatmapHead) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return head.to_heatmaps.weight.flatten(1), head.to_heatmaps.bias, head.sharpness


MAPS = [(2, 128, 32, 32), (1, 64, 28, 28), (3, 16, 8, 8), (1, 4, 5, 7), (1, 128, 33, 35)]


@pytest.mark.parametrize("size", MAPS, ids=str)
def test_joints_of_maps_are_those_of_the_heatmaps(host_maps: ctypes.CDLL, size: tuple[int, int, int, int]) -> None:
    torch.manual_seed(sum(size))
    count, channels, height, width = size
    head = a_head(channels)
    features = torch.randn(size)
    features[0, :, 0, 0] += 2.0
    parts = torch.full((count, 21, heatmap_parts(height, width), 4), POISON)
    joints, confidence = torch.full((count, 21, 2), POISON), torch.full((count, 21), POISON)
    given = features.permute(0, 2, 3, 1).contiguous(), *heatmap_arguments(head)
    host_maps.host_heatmaps(*map(address, (*given, parts, joints, confidence)), count, channels, height, width)
    _, wanted, sure = head(features)
    torch.testing.assert_close(joints, wanted, rtol=0, atol=2e-6)
    torch.testing.assert_close(confidence, sure, rtol=0, atol=2e-6)
    assert (parts != POISON).all()
    assert 0 < sure.min() < sure.max()


def test_a_map_of_great_values_overflows_nowhere(host_maps: ctypes.CDLL) -> None:
    head = a_head(16)
    features = 1e3 * torch.randn(1, 16, 8, 8)
    parts, joints, confidence = torch.empty(1, 21, 2, 4), torch.empty(1, 21, 2), torch.empty(1, 21)
    given = features.permute(0, 2, 3, 1).contiguous(), *heatmap_arguments(head)
    host_maps.host_heatmaps(*map(address, (*given, parts, joints, confidence)), 1, 16, 8, 8)
    _, wanted, sure = head(features)
    torch.testing.assert_close(joints, wanted, rtol=0, atol=1e-4)
    torch.testing.assert_close(confidence, sure)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_heatmaps_operator_is_the_head(layout: torch.memory_format) -> None:
    head = a_head(64)
    features = torch.randn(2, 64, 28, 28).to(memory_format=layout)
    torch.library.opcheck(torch.ops.usthand.heatmap_joints.default, (features, *heatmap_arguments(head)))
    joints, confidence = heatmap_joints(features, *heatmap_arguments(head))
    _, wanted, sure = head(features)
    torch.testing.assert_close(joints, wanted)
    torch.testing.assert_close(confidence, sure)


@pytest.mark.parametrize(
    ("features", "channels", "words"),
    [
        (torch.zeros(2, 132, 8, 8), 132, r"a multiple of 4 and at most 128, not torch\.float32 of \(2, 132, 8, 8\)"),
        (torch.zeros(2, 18, 8, 8), 18, "a multiple of 4"),
        (torch.zeros(2, 16, 8, 8).half(), 16, "float16"),
        (torch.zeros(2, 16, 8, 8), 20, r"weight is torch\.float32 of \(21, 20\); it must be float32 of \(21, 16\)"),
    ],
)
def test_what_the_heatmaps_operator_does_not_take(features: torch.Tensor, channels: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        heatmap_joints(features, *heatmap_arguments(a_head(channels)))


@dataclass
class MapsDriver(Driver):
    """Of these kernels' arguments, so many pointers come first, and so many numbers after them."""

    ARGUMENTS = {"usthand_heatmap_parts": (5, 3), "usthand_heatmap_joints": (4, 1)}

    def cuLaunchKernel(self, function: str, *rest: Any) -> tuple[Any, ...]:  # noqa: N802
        *shape, _, stream, parameters, _ = rest
        pointers, numbers = self.ARGUMENTS[function]
        kinds = [ctypes.c_void_p] * pointers + [ctypes.c_int32] * numbers
        addresses = (ctypes.c_void_p * len(kinds)).from_address(parameters)
        values = [kind.from_address(at).value for kind, at in zip(kinds, addresses, strict=True)]
        self.launched.append((function, tuple(shape), stream, values))
        return self.answer("cuLaunchKernel")


def test_heatmaps_are_two_launches() -> None:
    driver = MapsDriver()
    kernels = KernelLibrary(driver)
    kernels.heatmaps(5, 1, 2, 3, 4, 6, 7, 8, count=16, channels=64, height=28, width=28)
    assert driver.launched == [
        ("usthand_heatmap_parts", (13, 16, 1, 192, 1, 1), 5, [1, 2, 3, 4, 6, 64, 28, 28]),
        ("usthand_heatmap_joints", (336, 1, 1, 32, 1, 1), 5, [6, 4, 7, 8, 25]),
    ]
    for channels in (0, 18, 132):
        with pytest.raises(EngineError, match=f"maps of {channels} channels"):
            kernels.heatmaps(5, 1, 2, 3, 4, 6, 7, 8, count=1, channels=channels, height=8, width=8)
    assert len(driver.launched) == 2
