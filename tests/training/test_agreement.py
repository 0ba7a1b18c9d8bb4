"""Views that agree overrule the one that does not, and give labels to the one that has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.test_levels import Source
from training.agreement import AgreedLabels
from training.samples import Window
from training.synthetic import SyntheticConfig, synthetic_windows
from training.truth import Truth

_NO_LIMIT = 1e-3


@pytest.fixture(scope="module")
def sample() -> tuple[Window, Truth]:
    """A window of four views whose labels are exact and certain."""
    window, truth = synthetic_windows(SyntheticConfig(views=4, frames=2, size_px=64), 1, seed=3)[0]
    confidence = np.ones_like(window.label_confidence) * window.view_mask[..., None]
    return replace(window, labels=_exact(window, truth), label_confidence=confidence), truth


def _exact(window: Window, truth: Truth) -> NDArray[np.float32]:
    matrices = window.projections.astype(np.float64)
    points = np.einsum("tvik,tjk->tvji", matrices[..., :3], truth.joints_local) + matrices[:, :, None, :, 3]
    return (points[..., :2] / points[..., 2:]).astype(np.float32)


def _agreed(window: Window, truth: Truth) -> Window:
    return AgreedLabels(Source([(window, truth)]))[0]


def test_labels_that_agree_stay(sample: tuple[Window, Truth]) -> None:
    window, truth = sample
    agreed = _agreed(window, truth)
    inside = agreed.label_confidence > 0
    assert inside.mean() > 0.9
    assert np.abs(agreed.labels - window.labels)[inside].max() < _NO_LIMIT
    assert agreed.label_confidence[inside].min() > 0.95


def test_a_view_that_errs_is_overruled(sample: tuple[Window, Truth]) -> None:
    window, truth = sample
    labels = window.labels.copy()
    labels[:, 2, 5:9] += 0.5
    agreed = _agreed(replace(window, labels=labels), truth)
    inside = agreed.label_confidence > 0
    assert np.abs(agreed.labels - window.labels)[inside].max() < 0.03


def test_a_view_without_labels_gets_them(sample: tuple[Window, Truth]) -> None:
    window, truth = sample
    confidence = window.label_confidence.copy()
    confidence[:, 1] = 0.0
    agreed = _agreed(replace(window, label_confidence=confidence), truth)
    given = agreed.label_confidence[:, 1] > 0
    assert given.mean() > 0.9
    assert np.abs(agreed.labels - window.labels)[:, 1][given].max() < _NO_LIMIT


def test_one_view_agrees_with_nobody(sample: tuple[Window, Truth]) -> None:
    window, truth = sample
    confidence = window.label_confidence.copy()
    confidence[0, 1:] = 0.0
    confidence[1, 1:, 3] = 0.0
    agreed = _agreed(replace(window, label_confidence=confidence), truth)
    assert not agreed.label_confidence[0].any()
    assert not agreed.label_confidence[1, :, 3].any()
    assert agreed.label_confidence[1, :, 4].any()


def test_masked_views_neither_tell_nor_are_told(sample: tuple[Window, Truth]) -> None:
    window, truth = sample
    mask, labels = window.view_mask.copy(), window.labels.copy()
    mask[:, 3] = 0.0
    labels[:, 3] = 7.0
    agreed = _agreed(replace(window, view_mask=mask, labels=labels), truth)
    assert not agreed.label_confidence[:, 3].any()
    inside = agreed.label_confidence > 0
    assert np.abs(agreed.labels - window.labels)[inside].max() < _NO_LIMIT


def test_it_is_other_data_with_the_same_truth(sample: tuple[Window, Truth]) -> None:
    source = Source([sample])
    agreed = AgreedLabels(source)
    assert agreed.version != source.version
    assert agreed.name != source.name
    assert agreed.truth(0) is sample[1]
    assert len(agreed) == 1
