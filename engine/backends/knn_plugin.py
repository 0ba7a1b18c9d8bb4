"""The nearest-points kernel as a TensorRT plugin, `usthand::knn`: its PTX goes into the plan.

TensorRT launches it like a kernel of its own: no Python runs with a frame, and no library of ours is needed beside the
plan. The kernel's arguments come in TensorRT's order: inputs, numbers, outputs.
"""

from __future__ import annotations

from typing import Any

from engine.backends.gpu_device import find_gpu
from engine.backends.plan_graph import PLUGIN_NAME, PLUGIN_NAMESPACE
from engine.backends.tensorrt_api import TensorrtLibrary
from engine.errors import EngineError

_ID = f"{PLUGIN_NAMESPACE}::{PLUGIN_NAME}"
_WARP = 32
_registered: set[str] = set()
