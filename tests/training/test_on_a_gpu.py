"""Every method can be trained and asked away from the CPU: on torch's device without numbers, so no GPU is needed.

Tensors of two devices do not meet there either: one that some pass makes on the CPU is found.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from engine.hand_model import HandModel
from engine.network.constants import constant
from tests.training.conftest import SMALL
from training.ablations import FULL
from training.augmentation import jitter_colors
from training.comparison import contenders
from training.methods import TrainableMethod
from training.samples import Window, collate
from training.truth import Truth

ELSEWHERE = torch.device("meta")
GPU = torch.device("cuda:0")
SEEING = replace(SMALL, backbone="mediapipe-lite", use_trunk_joints=True, blocks=1)
# Of the ablations, those that put something in another's place; the others only leave something out.
VARIANTS = frozenset({f"{FULL} w/o heatmap", f"{FULL} w/o projection", f"{FULL} w/o STPT"})


def test_every_method_stays_where_it_is(hand_model: HandModel, small_samples: list[tuple[Window, Truth]]) -> None:
    batch = collate([window for window, _ in small_samples]).to(ELSEWHERE)
    asked = []
    for contender in contenders(SEEING, hand_model):
        method = contender.make()
        module = getattr(method, "module", None)
        variant = contender.name.startswith(f"{FULL} ") and contender.name not in VARIANTS
        if variant or not isinstance(module, nn.Module):
            continue
        module.to(ELSEWHERE)
        generator = torch.Generator().manual_seed(0)
        if contender.learns:
            total, terms = cast(TrainableMethod, method).losses(jitter_colors(batch, 0.3, generator), generator)
            assert {value.device for value in (total, *terms.values())} == {ELSEWHERE}
            total.backward()
            norm = nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            assert norm.device == ELSEWHERE
        answer = method.predict(batch, generator)
        assert answer.joints.device == answer.valid.device == ELSEWHERE
        asked.append(contender.name)
    assert {FULL, *VARIANTS} < set(asked)
    assert len(asked) == 10


def test_a_tensor_that_stayed_behind_is_found(hand_model: HandModel, small_samples: list[tuple[Window, Truth]]) -> None:
    batch = collate([window for window, _ in small_samples]).to(ELSEWHERE)
    full = next(contender for contender in contenders(SMALL, hand_model) if contender.name == FULL)
    method = full.make()
    with pytest.raises(RuntimeError, match="device"):
        method.predict(batch, torch.Generator())


def test_a_constant_is_kept_for_real_tensors_of_a_gpu_only() -> None:
    numbers = [[1.0, 2.0], [3.0, 4.0]]
    cpu = constant(numbers, torch.device("cpu"), torch.float32)
    assert torch.equal(cpu, torch.tensor(numbers))
    assert cpu is not constant(numbers, cpu.device, cpu.dtype)
    with FakeTensorMode():
        first, second = (constant(numbers, GPU, torch.float32) for _ in range(2))
    assert first.device == GPU
    assert first is not second


@pytest.mark.gpu
def test_a_constant_of_a_gpu_is_kept() -> None:
    numbers = (2.0, 3.0)
    with torch.inference_mode():
        first = constant(numbers, GPU, torch.float32)
    assert first is constant(numbers, GPU, torch.float32)
    assert not first.is_inference()
    weight: Tensor = torch.ones(2, device=GPU, requires_grad=True)
    (weight * first).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [2.0, 3.0]
