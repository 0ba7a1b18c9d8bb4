"""Cameras that see a hand at different instants: what is drawn, compared and sent for a picture is of its instant."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import Rig
from capture.frames import Frame, FrameSet
from engine.types import HandPose
from server.dialects import mediapipe
from server.overlay import OverlayPainter
from server.rig_marks import residuals_px
from server.solved import Solved
from tests.server.conftest import make_hand

WAY_M = np.array([0.012, -0.004, 0.0])


@pytest.fixture
def moving(rig: Rig) -> HandPose:
    """A hand that went on by 13 mm before the last camera saw it, whose own joints are where it then was."""
    hand = make_hand(rig)
    keypoints = hand.keypoints_px.copy()
    keypoints[-1] = list(rig)[-1].project(hand.joints_world + WAY_M)
    cameras = (*list(rig)[:-1], list(rig)[-1].moved(-WAY_M))
    return replace(hand, keypoints_px=keypoints, rig=Rig(cameras, rig.name))


def test_the_views_own_joints_lie_on_the_projected_ones(rig: Rig, moving: HandPose) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    frames = tuple(Frame(camera.id, 0, 0, 0, image) for camera in rig)
    solved = Solved(FrameSet(0, frames, 12.0), rig, (moving,), 0, 0, "fake")
    for rows in residuals_px(solved).values():
        assert len(rows) == 21
        assert np.abs(np.array(rows)[:, 2:]).max() < 0.02
    still = residuals_px(replace(solved, hands=(replace(moving, rig=None),)))
    assert np.abs(np.array(still[list(rig)[-1].id])[:, 2:]).max() > 2.0


def drawn(rig: Rig, hand: HandPose) -> NDArray[np.uint8]:
    camera = list(rig)[-1]
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    OverlayPainter().draw(image, camera, (hand,))
    return image


def test_the_overlay_is_drawn_where_the_picture_shows_the_hand(rig: Rig, moving: HandPose) -> None:
    still = replace(moving, rig=None)
    moved = drawn(rig, moving)
    assert moved.any()
    assert not np.array_equal(moved, drawn(rig, still))
    # The wrist's place in the picture is the view's own.
    x, y = np.rint(moving.keypoints_px[-1][0]).astype(int)
    assert cv2.boxFilter(moved.max(axis=2).astype(np.float32), -1, (5, 5))[y, x] > 0


def test_image_landmarks_are_those_of_the_picture(rig: Rig, moving: HandPose) -> None:
    camera = list(rig)[-1]
    sent = mediapipe.MediaPipeDialect().hand(moving, rig).extra["image_landmarks"][camera.id]
    expected = (moving.keypoints_px[-1] + 0.5) / (camera.width, camera.height)
    np.testing.assert_allclose(np.asarray(sent)[:, :2], expected, atol=1e-3)
