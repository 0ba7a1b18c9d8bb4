"""The hand's kernels, their source on the host, and their operators on a CPU, against the network's head."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.fx.experimental.proxy_tensor import make_fx  # noqa: E402

from engine.backends.gpu_hand import GpuManoHead, kernels_take  # noqa: E402
from engine.hand_model import HandModel  # noqa: E402
from engine.kernels.library import KernelLibrary  # noqa: E402
from engine.network.config import PRESETS, NetworkConfig  # noqa: E402
from engine.network.mano_head import ManoHead, ManoOutput  # noqa: E402
from tests.engine.kernels.hands import a_head, seen_joints  # noqa: E402
from tests.engine.kernels.test_library import Driver  # noqa: E402

UTILS = ("test_schema", "test_faketensor", "test_aot_dispatch_static")
TURNS = ("rotations", "globally")
KINDS = [(name, corrected) for name in PRESETS for corrected in (False, True)]


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def numbers(answer: ManoOutput) -> dict[str, torch.Tensor]:
    return {
        "joints": answer.posed.joints,
        "rotations": answer.rotations,
        "shape": answer.shape,
        "translation": answer.translation,
        "rest": torch.cat([answer.rest.joints, answer.rest.tips], dim=1),
        "globally": answer.posed.rotations,
        "mano_joints": answer.posed.mano_joints,
    }


def on_host(kernels: ctypes.CDLL, name: str, given: list[Any], answers: list[torch.Tensor], *sizes: int) -> None:
    """Run a kernel on the host; what it writes to is poisoned before."""
    for answer in answers:
        answer.fill_(torch.nan)
    pointers = [None if one is None else ctypes.c_void_p(one.data_ptr()) for one in (*given, *answers)]
    getattr(kernels, name)(*pointers, *sizes)


def by_host(kernels: ctypes.CDLL, head: GpuManoHead, joints: torch.Tensor, features: torch.Tensor) -> list[Any]:
    hands, layer = len(joints), head.layer
    seen = torch.empty(hands, 21, 35)
    given = [joints, features, head.norm_weight, head.norm_bias, head.weight, head.bias]
    on_host(kernels, "host_mano_input", given, [seen], hands, features.shape[-1])
    parameters = head.to_parameters(head.mlp(seen.flatten(1)))
    sizes = ((21, 3), (16, 3, 3), (10,), (3,), (21, 3), (16, 3, 3), (16, 3))
    answers = [torch.empty(hands, *one) for one in sizes]
    given = [joints, parameters, layer.joint_template, layer.joint_directions, layer.tip_weights, head.tip_directions]
    on_host(kernels, "host_mano", given, answers, hands, int(head.tip_directions is not None))
    return answers


@pytest.mark.parametrize("hands", [1, 2])
@pytest.mark.parametrize(("name", "corrected"), KINDS)
def test_the_kernels_pose_hands_as_the_head_does(
    host_hand: ctypes.CDLL, name: str, corrected: bool, hands: int
) -> None:
    head = a_head(PRESETS[name], corrected=corrected)
    ready = GpuManoHead(head)
    for seed in range(3):
        joints, features = seen_joints(hands, seed), torch.randn(hands, 21, PRESETS[name].point_channels)
        wanted = numbers(head(joints, features))
        # Shape and twist have a say, or there would be nothing to see of them.
        assert wanted["shape"].abs().max() > 0.5
        for found in (list(numbers(ready(joints, features)).values()), by_host(host_hand, ready, joints, features)):
            for (what, one), other in zip(wanted.items(), found, strict=True):
                np.testing.assert_allclose(other, one, rtol=1e-5, atol=2e-5 if what in TURNS else 3e-6, err_msg=what)


def test_pose_correctives_move_the_tips() -> None:
    joints, features = seen_joints(1, 0), torch.zeros(1, 21, 96)
    one, other = (a_head(PRESETS["lite"], corrected=corrected)(joints, features) for corrected in (False, True))
    apart = (one.posed.joints - other.posed.joints).norm(dim=-1)[0]
    assert apart[[4, 8, 12, 16, 20]].min() > 1e-4
    assert apart[[0, 1, 5, 9]].max() < 1e-6


@pytest.mark.parametrize("kind", ["folded", "bent back", "one point"])
def test_hands_that_no_hand_can_be(host_hand: ctypes.CDLL, kind: str) -> None:
    head = a_head(PRESETS["lite"], corrected=False)
    joints = seen_joints(1, 7)
    if kind == "folded":
        joints[:, 4::4] = joints[:, 2::4]
    elif kind == "bent back":
        joints[:, 3::4] = 2 * joints[:, 2::4] - joints[:, 3::4] - 0.1
    else:
        joints[:] = joints[:, :1]
    features = torch.randn(1, 21, 96)
    wanted = numbers(head(joints, features))
    for (what, one), other in zip(wanted.items(), by_host(host_hand, GpuManoHead(head), joints, features), strict=True):
        assert torch.isfinite(other).all()
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3 if what in TURNS else 1e-4, err_msg=what)


def test_the_operators_keep_to_what_pytorch_asks_of_one() -> None:
    for corrected in (False, True):
        head = GpuManoHead(a_head(PRESETS["lite"], corrected=corrected))
        joints, features = seen_joints(2, 1), torch.randn(2, 21, 96)
        given = (joints, features, head.norm_weight, head.norm_bias, head.weight, head.bias)
        torch.library.opcheck(torch.ops.usthand.mano_input.default, given, test_utils=UTILS)
        layer = head.layer
        constants = (layer.joint_template, layer.joint_directions, layer.tip_weights, head.tip_directions)
        torch.library.opcheck(
            torch.ops.usthand.mano.default, (joints, torch.randn(2, 106), *constants), test_utils=UTILS
        )


def test_a_head_that_the_kernels_do_not_take_is_left() -> None:
    assert all(kernels_take(ManoHead(config, HandModel.load())) for config in PRESETS.values())
    assert not kernels_take(ManoHead(NetworkConfig(point_channels=48), HandModel.load()))


def test_a_head_for_a_gpu_is_two_kernels_and_its_network() -> None:
    head = GpuManoHead(a_head(PRESETS["lite"], corrected=False))

    def posed(joints: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return head(joints, features).posed.joints

    traced = make_fx(posed)(seen_joints(1, 0), torch.randn(1, 21, 96))
    names = [str(node.target).removeprefix("aten.") for node in traced.graph.nodes if node.op == "call_function"]
    views = {"view.default", "t.default", "detach.default", "getitem", "slice.Tensor"}
    left = [name for name in names if name not in views and "getitem" not in name]
    network = ["addmm.default", "relu.default", "addmm.default", "relu.default", "addmm.default"]
    assert left == ["usthand.mano_input.default", *network, "usthand.mano.default"]


class _Driver(Driver):
    """Writes down the launches of the hand's kernels."""

    def cuLaunchKernel(self, function: str, *rest: Any) -> tuple[Any, ...]:  # noqa: N802
        *shape, shared, stream, parameters, extra = rest
        assert (shared, extra) == (0, 0)
        kinds = [ctypes.c_void_p] * 7 if "input" in function else [ctypes.c_void_p] * 13 + [ctypes.c_int32]
        addresses = (ctypes.c_void_p * len(kinds)).from_address(parameters)
        values = [kind.from_address(address).value for kind, address in zip(kinds, addresses, strict=True)]
        self.launched.append((function, tuple(shape), stream, values))
        return self.answer("cuLaunchKernel")


def test_how_they_are_launched() -> None:
    driver = _Driver()
    kernels = KernelLibrary(driver)
    kernels.mano_input(5, *range(1, 8), hands=2, channels=96)
    kernels.mano(5, *range(1, 14), hands=2, posed=True)
    assert driver.launched == [
        ("usthand_mano_input", (21, 2, 1, 96, 1, 1), 5, [*range(1, 8)]),
        ("usthand_mano", (2, 1, 1, 256, 1, 1), 5, [*range(1, 14), 1]),
    ]
