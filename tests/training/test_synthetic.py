"""Rendered windows: labels are where the truth projects, and left hands look like right ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import Rig
from engine.hand_model.model import PARENTS_21
from engine.synthetic import HandScene, make_rig
from training.crop_jitter import CropJitter
from training.samples import Window
from training.synthetic import SyntheticConfig, render_window, synthetic_windows
from training.truth import Truth

Array = NDArray[np.float64]

CONFIG = SyntheticConfig(size_px=96, views=3, frames=2, image_px=(320, 240), windows_per_scene=2)


def _projected(window: Window, truth: Truth) -> Array:
    """Truth in crop coordinates `(T, V, 21, 2)`."""
    points = np.concatenate([truth.joints_local, np.ones((*truth.joints_local.shape[:2], 1))], axis=-1)
    moved = np.einsum("tvij,tpj->tvpi", window.projections.astype(np.float64), points)
    return np.asarray(moved[..., :2] / moved[..., 2:])


@pytest.fixture(scope="module", params=["right", "left"])
def sample(request: pytest.FixtureRequest) -> tuple[Window, Truth]:
    config = replace(CONFIG, left_share=float(request.param == "left"))
    return synthetic_windows(config, 1, seed=3)[0]


def test_truth_projects_onto_the_labels(sample: tuple[Window, Truth]) -> None:
    window, truth = sample
    assert window.crops.shape == (2, 3, 96, 96, 3)
    np.testing.assert_allclose(_projected(window, truth), window.labels, atol=1e-4)
    assert window.view_mask.min() == 1.0
    # The window's frame is near the hand, but not at its middle: the network must not learn where that is.
    middle = truth.joints_local.mean(axis=(0, 1))
    assert 1e-3 < np.linalg.norm(middle) < 0.06


def test_labels_lie_on_the_hand_in_the_picture(sample: tuple[Window, Truth]) -> None:
    window, _ = sample
    pixels = np.round((window.labels + 1) * (window.size_px / 2) - 0.5).astype(int)
    inside = ((pixels >= 0) & (pixels < window.size_px)).all(axis=-1)
    assert inside.mean() > 0.95
    t, v, j = np.nonzero(inside)
    # Skin is redder than it is blue, the backgrounds are grey.
    colors = window.crops[t, v, pixels[t, v, j, 1], pixels[t, v, j, 0]].astype(int)
    assert np.mean(colors[:, 0] > colors[:, 2] + 15) > 0.85
    border = window.crops[:, :, 0].reshape(-1, 3).astype(int)
    assert np.mean(border[:, 0] > border[:, 2] + 15) < 0.3


def test_every_hand_is_a_right_hand(sample: tuple[Window, Truth]) -> None:
    _, truth = sample
    # Across the palm from index to little finger, turned to the fingers: out of a right hand's back.
    joints = truth.joints_local
    up = np.cross(joints[:, 17] - joints[:, 5], joints[:, 9] - joints[:, 0])
    bones = np.linalg.norm(joints[:, 1:] - joints[:, list(PARENTS_21[1:])], axis=-1)
    assert bones.min() > 0.01
    # Fingers bend away from the back.
    bent = np.einsum("tji,ti->tj", joints[:, [8, 12, 16, 20]] - joints[:, [5, 9, 13, 17]], up)
    assert bent.mean() < 0
    assert truth.vertices_local is not None
    assert np.linalg.norm(truth.vertices_local[:, None] - joints[:, :, None], axis=-1).min(axis=-1).max() < 0.02


def test_equal_seeds_give_equal_windows() -> None:
    first, again = (synthetic_windows(CONFIG, 3, seed=5) for _ in range(2))
    assert len(first) == 3
    for (a, truth_a), (b, truth_b) in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.crops, b.crops)
        np.testing.assert_array_equal(a.labels, b.labels)
        np.testing.assert_array_equal(truth_a.joints_local, truth_b.joints_local)
    assert not np.array_equal(first[0][0].labels, first[1][0].labels)
    assert not np.array_equal(first[0][0].crops, synthetic_windows(CONFIG, 1, seed=6)[0][0].crops)


def test_crops_are_off_as_far_as_asked_and_alike_in_all_frames() -> None:
    scene, rig = HandScene(seed=3), make_rig(3, 4, 320, 240)
    still = CropJitter(0.0, 0.0, 0.0, 0.0)

    def rendered(jitter: CropJitter) -> tuple[Window, Truth]:
        return render_window(scene, rig, [10, 11], replace(CONFIG, jitter=jitter), np.random.default_rng(8))

    exact, truth = rendered(still)
    np.testing.assert_allclose(truth.joints_local.mean(axis=(0, 1)), 0.0, atol=1e-9)
    for jitter in (
        replace(still, center=0.05),
        replace(still, scale=0.06),
        replace(still, rotation_deg=10.0),
        CropJitter(origin_m=0.0),
    ):
        moved, moved_truth = rendered(jitter)
        np.testing.assert_allclose(_projected(moved, moved_truth), moved.labels, atol=1e-4)
        for v in range(3):
            offs = []
            for t in range(2):
                # The similarity from the exact crop's labels to the moved one's, as complex numbers.
                a, b = (w.labels[t, v].astype(np.float64) @ [1, 1j] for w in (exact, moved))
                turn = np.vdot(a - a.mean(), b - b.mean()) / np.vdot(a - a.mean(), a - a.mean())
                offs.append((turn, b.mean() - turn * a.mean()))
            (turn, shift), (turn_next, shift_next) = offs
            assert abs(turn - turn_next) < 0.01
            assert abs(shift - shift_next) < 0.01
            assert abs(np.log(abs(turn))) <= jitter.scale * 1.1 + 1e-2
            assert abs(np.angle(turn)) <= np.radians(jitter.rotation_deg) + 1e-2
            # Crop coordinates are two to a side.
            assert abs(shift) <= 2 * np.sqrt(2) * jitter.center * 1.1 + 0.02


def test_labels_outside_the_picture_are_kept_but_not_believed() -> None:
    # Lenses so long that fingers leave the picture.
    rig = make_rig(2, 4, 320, 240)
    zoom = np.array([[2.2, 1.0, 1.0], [1.0, 2.2, 1.0], [1.0, 1.0, 1.0]])
    near = Rig(tuple(replace(camera, K=camera.K * zoom) for camera in rig))
    window, truth = render_window(HandScene(seed=3), near, range(0, 300, 10), CONFIG, np.random.default_rng(0))
    low = window.label_confidence < 0.5
    assert low.any()
    np.testing.assert_allclose(window.label_confidence[low], 0.1)
    np.testing.assert_allclose(window.label_confidence[~low], 1.0)
    np.testing.assert_allclose(_projected(window, truth), window.labels, atol=1e-4)
    outside = (np.abs(window.labels) > 1.0).any(axis=-1)
    assert low[outside].all()
