"""The trunk's own reading of a hand, and what the network makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from engine.detector.networks import LandmarkNetwork
from engine.errors import EngineError
from engine.hand_model import HandModel
from engine.network.backbones import build_backbone
from engine.network.config import NetworkConfig, preset
from engine.network.network import UstHandNetwork
from engine.network.trunk_joints import TrunkJoints, read_landmarks
from engine.synthetic import HandScene, make_rig
from tests.engine.network.support import SMALL


@pytest.mark.parametrize("size", ["lite", "full"])
def test_it_reads_what_the_landmark_network_reads(size: str) -> None:
    picture = HandScene(seed=3).render(make_rig(1, seed=3, width=224, height=224).cameras[0], 0)
    network = LandmarkNetwork("full" if size == "full" else "lite")
    wanted = network.infer(picture)
    backbone = build_backbone(f"mediapipe-{size}").eval()
    assert backbone.landmarks is not None
    planes = torch.from_numpy(np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1)))[None] / 255
    with torch.inference_mode():
        sight = read_landmarks(backbone.landmarks, backbone(planes)[3], 224)
    pixels = (sight.joints[0].numpy() + 1) * 112 - 0.5
    assert np.abs(pixels - wanted.keypoints_crop_px).max() < 0.01
    assert sight.probabilities[0].tolist() == pytest.approx([wanted.presence, wanted.right_probability], abs=1e-3)


def test_the_flow_is_centred_between_what_trunk_and_heatmaps_say() -> None:
    part = TrunkJoints(graph_channels=8, fusion_channels=4)
    trunk, heatmap, fused = torch.zeros(2, 3, 21, 2), torch.ones(2, 3, 21, 2), torch.randn(2, 3, 21, 4)
    # At first by the bias alone, mostly the trunk's.
    at_first = part.center(trunk, heatmap, fused).detach()
    assert torch.allclose(at_first, torch.full_like(at_first, float(1 - torch.sigmoid(torch.tensor(1.4)))))
    with torch.no_grad():
        part.gate.weight.normal_()
    between = part.center(trunk, heatmap, fused).detach()
    assert float(between.min()) >= 0.0
    assert float(between.max()) <= 1.0
    assert float(between.std()) > 0.01


def test_a_trunk_that_reads_no_joints_is_refused() -> None:
    with pytest.raises(EngineError, match="use_trunk_joints to false"):
        UstHandNetwork(replace(SMALL, use_trunk_joints=True), HandModel.load(), pretrained=False)
    assert preset("lite").use_trunk_joints
    assert not NetworkConfig().use_trunk_joints
