"""The mirrored hand is the mirrored answer: a real network of random weights, in a world and in its mirror image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from calibration import Camera, Rig  # noqa: E402
from capture.frames import Frame, FrameSet  # noqa: E402
from engine.backends.base import INPUT_NAMES, NetworkInputs, NetworkOutputs  # noqa: E402
from engine.hand_model import Side  # noqa: E402
from engine.model_card import ModelCard  # noqa: E402
from engine.network.network import UstHandNetwork  # noqa: E402
from engine.tracker.aim import aim_at  # noqa: E402
from engine.tracker.answer import NetworkAnswer  # noqa: E402
from engine.tracker.state import StreamState  # noqa: E402
from engine.tracker.stepper import Request, Stepper  # noqa: E402
from tests.engine.network.support import SMALL, stirred_network  # noqa: E402
from tests.engine.tracker.support import CARD, MIRROR, RIG, Image, pattern, truth_at  # noqa: E402

SMALL_CARD = replace(
    CARD,
    input_px=SMALL.input_px,
    hypotheses=SMALL.hypotheses,
    blocks=SMALL.blocks,
    past=SMALL.past,
    channels=SMALL.point_channels,
)


class Torch:
    """The network as a runtime; shown the same crops again, to rounded grey values, it sees the first ones."""

    backend = "torch"

    def __init__(self, network: UstHandNetwork) -> None:
        self.network = network
        self.crops: Image | None = None

    @property
    def card(self) -> ModelCard:
        return SMALL_CARD

    def close(self) -> None:
        """There is nothing to give back."""

    def run(self, inputs: NetworkInputs) -> NetworkOutputs:
        if self.crops is None:
            self.crops = inputs.crops.copy()
        assert np.abs(inputs.crops.astype(np.int16) - self.crops).max() <= 2
        inputs = replace(inputs, crops=self.crops)
        with torch.no_grad():
            answer = self.network.step(*(torch.tensor(getattr(inputs, name)) for name in INPUT_NAMES))
        arrays = [tensor.numpy() for tensor in answer.as_tuple()]
        return NetworkOutputs(*arrays[:5], *arrays[6:])


def seen(runtime: Torch, rig: Rig, pictures: list[Image], side: Side, x: float) -> NetworkAnswer:
    frames = tuple(Frame(camera.id, 0, 0, 0, image) for camera, image in zip(rig, pictures, strict=True))
    frame_set = FrameSet(0, frames, 0.0)
    with ThreadPoolExecutor(1) as pool:
        stepper = Stepper(runtime, pool)
        stepper.attend(len(rig))
        aim = aim_at(frame_set, rig, truth_at(side, x=x).joints_world, side, SMALL.input_px)
        assert aim.mask.all()
        (answer,) = stepper.run(stepper.start(frame_set, rig, [Request(aim, StreamState.blank(SMALL_CARD))]))
    return answer


def mirrored(camera: Camera) -> Camera:
    """The camera in a world mirrored across x = 0, its picture flipped left to right."""
    K = camera.K.copy()
    K[0, 2] = camera.width - 1 - K[0, 2]
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    return replace(camera, K=K, T_camera_world=flip @ camera.T_camera_world @ flip)


def test_the_mirrored_hand_is_the_mirrored_answer() -> None:
    runtime = Torch(stirred_network())
    rig = Rig(tuple(replace(camera, distortion=np.zeros(5)) for camera in RIG))
    pictures = [pattern(view) for view in range(len(rig))]
    right = seen(runtime, rig, pictures, "right", 0.02)
    flipped = [np.ascontiguousarray(picture[:, ::-1]) for picture in pictures]
    left = seen(runtime, Rig(tuple(mirrored(camera) for camera in rig)), flipped, "left", -0.02)
    M = np.diag(MIRROR)
    for name in ("joints_world", "mano_joints_world", "translation"):
        assert np.abs(getattr(left, name) - getattr(right, name) * MIRROR).max() < 1e-4, name
    assert np.abs(left.covariance_mm2 - M @ right.covariance_mm2 @ M).max() < 1e-4 * np.abs(right.covariance_mm2).max()
    assert np.abs(left.shape - right.shape).max() < 1e-4
    assert np.abs(left.view_confidence - right.view_confidence).max() < 1e-4
    assert np.abs(right.joints_world - right.mano_joints_world).max() > 1e-3
