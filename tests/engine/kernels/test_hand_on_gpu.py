"""The hand's kernels on a GPU, against the operators on a CPU. What they write to is poisoned before."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from engine.backends.gpu_cloud import GpuConditions  # noqa: E402
from engine.backends.gpu_hand import GpuManoHead  # noqa: E402
from engine.kernels.operators import loaded_library  # noqa: E402
from engine.network.config import PRESETS  # noqa: E402
from tests.engine.kernels.hands import a_flow, a_head, seen_hands, seen_joints  # noqa: E402

pytestmark = pytest.mark.gpu

POISON = float("nan")


def assert_as_on_a_cpu(operator: Any, given: tuple[Any, ...], fresh: Any, tolerances: tuple[float, ...]) -> None:
    """Launch an operator, then replay it captured, on fresh inputs each time; `fresh` makes the inputs that change."""
    there = [None if one is None else one.cuda() for one in given]
    assert loaded_library(torch.cuda.current_device()) is not None

    def answers() -> list[Any]:
        answer = operator(*there)
        return list(answer) if isinstance(answer, tuple) else [answer]

    answers()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = answers()
    for trial in range(6):
        changed = fresh(trial)
        for one, other in zip(there, changed, strict=False):
            one.copy_(other)
        wanted = operator(*changed, *given[len(changed) :])
        wanted = list(wanted) if isinstance(wanted, tuple) else [wanted]
        for one in captured:
            one.fill_(POISON)
        graph.replay()
        torch.cuda.synchronize()
        for found in (captured, answers()):
            for one, other, tolerance in zip(found, wanted, tolerances, strict=True):
                torch.testing.assert_close(one.cpu(), other, rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("hands", [1, 2])
@pytest.mark.parametrize("name", PRESETS)
def test_what_the_head_reads(name: str, hands: int) -> None:
    channels = PRESETS[name].point_channels
    head = GpuManoHead(a_head(PRESETS[name], corrected=False))

    def fresh(trial: int) -> tuple[Any, ...]:
        return seen_joints(hands, trial), torch.randn(hands, 21, channels)

    given = (*fresh(0), head.norm_weight, head.norm_bias, head.weight, head.bias)
    assert_as_on_a_cpu(torch.ops.usthand.mano_input, given, fresh, (1e-4,))


@pytest.mark.parametrize("hands", [1, 2])
@pytest.mark.parametrize("corrected", [False, True])
def test_the_hand_that_is_made(corrected: bool, hands: int) -> None:
    head = GpuManoHead(a_head(PRESETS["lite"], corrected=corrected))
    layer = head.layer

    def fresh(trial: int) -> tuple[Any, ...]:
        return seen_joints(hands, trial), torch.randn(hands, 106)

    constants = (layer.joint_template, layer.joint_directions, layer.tip_weights, head.tip_directions)
    tolerances = (1e-5, 1e-4, 1e-5, 1e-5, 1e-5, 1e-4, 1e-5)
    assert_as_on_a_cpu(torch.ops.usthand.mano, (*fresh(0), *constants), fresh, tolerances)


@pytest.mark.parametrize(("hands", "views"), [(1, 2), (2, 3), (1, 8), (2, 8)])
@pytest.mark.parametrize("name", PRESETS)
def test_the_cloud(name: str, hands: int, views: int) -> None:
    flow = a_flow(PRESETS[name])
    weights = (flow.from_coordinate.detach(), flow.to_scale_shift.detach())

    def fresh(trial: int) -> tuple[Any, ...]:
        fused, center, confidence, projections, noise, mask = seen_hands(PRESETS[name], hands, views, trial)
        with torch.no_grad():
            return flow.condition(fused), center, noise, confidence, mask, projections

    assert_as_on_a_cpu(torch.ops.usthand.flow_cloud, (*fresh(0), *weights), fresh, (1e-5, 1e-5, 1e-4, 3e-4, 3e-4))


@pytest.mark.parametrize("rows", [1, 42, 168, 336])
@pytest.mark.parametrize("name", PRESETS)
def test_the_conditions(name: str, rows: int) -> None:
    channels = PRESETS[name].fusion_channels
    layers = GpuConditions(a_flow(PRESETS[name]).condition)

    def fresh(_: int) -> tuple[Any, ...]:
        return (torch.randn(rows, channels),)

    weights = (layers.first_weight, layers.first_bias, layers.second_weight, layers.second_bias)
    assert_as_on_a_cpu(torch.ops.usthand.flow_conditions, (*fresh(0), *weights), fresh, (1e-5,))
