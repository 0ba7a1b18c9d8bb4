"""TensorRT, or TensorRT-RTX, on a real GPU: plans of the shipped network beside ONNX Runtime."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from engine.backends.onnxruntime_backend import OnnxRuntimeRuntime
from engine.backends.plan_builder import PlanSettings, build_plan
from engine.backends.tensorrt_api import find_library, tensorrt_reason
from engine.backends.tensorrt_backend import TensorrtRuntime
from engine.backends.trial import trial_inputs, trial_pictures
from engine.factory import shipped_path

pytestmark = pytest.mark.gpu
# What float16 may move joints by; docs/gpu.md has the figures.
WORST_MM = 0.1
VIEWS = 4


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plans for four views and one hand."""
    reason = tensorrt_reason()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("plans")
    build_plan(shipped_path("lite"), folder, find_library(), PlanSettings(), views=VIEWS, hands=1)
    return folder


def test_joints_are_those_of_onnx_runtime(plans: Path) -> None:
    runtime, plain = TensorrtRuntime(shipped_path("lite"), plans), OnnxRuntimeRuntime(shipped_path("lite"))
    for seed in range(4):
        inputs = trial_inputs(runtime.card, 1, VIEWS, seed=seed)
        far_m = np.linalg.norm(runtime.run(inputs).joints - plain.run(inputs).joints, axis=-1)
        assert 1e3 * far_m.max() < WORST_MM
    runtime.close()


def test_a_captured_frame_equals_its_work_by_itself(plans: Path) -> None:
    captured = TensorrtRuntime(shipped_path("lite"), plans)
    eager = TensorrtRuntime(shipped_path("lite"), plans, captured=False)
    for seed in range(4):
        inputs = trial_pictures(captured.card, 1, VIEWS, seed=seed)
        got, expected = captured.run_pictures(inputs), eager.run_pictures(inputs)
        for field in fields(got):
            np.testing.assert_array_equal(getattr(got, field.name), getattr(expected, field.name), err_msg=field.name)
    captured.close()
    eager.close()
