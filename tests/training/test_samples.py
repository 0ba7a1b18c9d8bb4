"""Windows say what the pictures show, and hold nothing three-dimensional but cameras."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training.samples import Window, collate, mirrored_truth, mirrored_window
from training.truth import Truth, TruthReadError, training_step


def _window(views: int = 2, frames: int = 3, size: int = 64, seed: int = 0) -> Window:
    rng = np.random.default_rng(seed)

    def numbers(*shape: int) -> NDArray[np.float32]:
        return rng.uniform(-1.0, 1.0, (frames, views, *shape)).astype(np.float32)

    return Window(
        crops=rng.integers(0, 256, (frames, views, size, size, 3), dtype=np.uint8),
        projections=numbers(3, 4),
        view_mask=np.ones((frames, views), dtype=np.float32),
        labels=numbers(21, 2),
        label_confidence=np.abs(numbers(21)),
    )


def test_a_window_has_no_place_for_truth() -> None:
    assert {field.name for field in fields(Window)} == {
        "crops",
        "projections",
        "view_mask",
        "labels",
        "label_confidence",
    }
    assert not hasattr(_window(), "__dict__")


def test_truth_is_locked_while_a_training_step_runs() -> None:
    truth = Truth(np.ones((2, 21, 3)), np.ones((2, 5, 3)))
    with training_step():
        for name in ("joints_local", "vertices_local"):
            with pytest.raises(TruthReadError, match="evaluation alone"):
                getattr(truth, name)
        # By no way: nor by copying it to look at the copy.
        with pytest.raises(TruthReadError):
            replace(truth)
    assert truth.joints_local.sum() == 2 * 21 * 3
    with pytest.raises(ZeroDivisionError), training_step():
        raise ZeroDivisionError
    assert truth.vertices_local is not None


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("crops", np.zeros((3, 2, 64, 64, 3), dtype=np.float32), "uint8"),
        ("projections", np.zeros((3, 2, 4, 4), dtype=np.float32), r"\(3, 2, 3, 4\)"),
        ("labels", np.zeros((3, 2, 21, 2)), "float64"),
        ("labels", np.full((3, 2, 21, 2), np.nan, dtype=np.float32), "not finite"),
        ("view_mask", np.full((3, 2), 2.0, dtype=np.float32), "outside"),
        ("label_confidence", np.full((3, 2, 21), -0.1, dtype=np.float32), "outside"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, value: NDArray[np.generic], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        replace(_window(), **{name: value})


def test_collating_stacks_and_masks_missing_views() -> None:
    few, many = _window(views=2, seed=1), _window(views=4, seed=2)
    batch = collate([few, many])
    assert batch.crops.shape == (2, 3, 4, 64, 64, 3)
    assert batch.crops.dtype == torch.uint8
    np.testing.assert_array_equal(batch.view_mask[0].numpy(), [[1, 1, 0, 0]] * 3)
    assert batch.label_confidence[0, :, 2:].sum() == 0
    for field in fields(Window):
        got = getattr(batch, field.name).numpy()
        np.testing.assert_array_equal(got[0, :, :2], getattr(few, field.name))
        np.testing.assert_array_equal(got[1], getattr(many, field.name))
    # A masked view's camera has the origin before it.
    assert (batch.projections[0, :, 2:, 2, 3] > 0).all()
    with pytest.raises(ValueError, match="cannot be one batch"):
        collate([_window(frames=2), _window(frames=3)])
    with pytest.raises(ValueError, match="at least one"):
        collate([])


def test_fewer_views_of_a_window() -> None:
    window = _window(views=4)
    fewer = window.with_views([3, 1])
    assert (fewer.views, fewer.frames, fewer.size_px) == (2, 3, 64)
    np.testing.assert_array_equal(fewer.crops, window.crops[:, [3, 1]])


def test_mirroring_follows_the_contract() -> None:
    window = _window()
    mirrored = mirrored_window(window)
    np.testing.assert_array_equal(mirrored.crops, window.crops[:, :, :, ::-1])
    flip = np.diag([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(
        mirrored.projections, flip @ window.projections @ np.diag([-1.0, 1.0, 1.0, 1.0]), atol=1e-7
    )
    points = np.random.default_rng(0).normal(0, 0.1, (3, 21, 3))
    truth = Truth(points, points[:, :5])
    before = np.einsum("tvij,tpj->tvpi", window.projections, np.concatenate([points, np.ones((3, 21, 1))], axis=-1))
    moved = mirrored_truth(truth).joints_local
    after = np.einsum("tvij,tpj->tvpi", mirrored.projections, np.concatenate([moved, np.ones((3, 21, 1))], axis=-1))
    # The mirror image of a point is where the mirrored camera sees it: at -u.
    np.testing.assert_allclose(after, before @ flip, atol=1e-6)
    twice, truth_twice = mirrored_window(mirrored), mirrored_truth(mirrored_truth(truth))
    for field in fields(Window):
        np.testing.assert_array_equal(getattr(twice, field.name), getattr(window, field.name))
    np.testing.assert_array_equal(truth_twice.joints_local, points)
    assert mirrored_truth(Truth(points)).vertices_local is None
