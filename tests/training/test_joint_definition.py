"""Offsets that were put into labels are found again, and only the truth of evaluation moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.training.test_levels import Source
from training.joint_definition import DefinedByDetector, bone_frames, detector_offsets_m, fit_offsets_m, moved
from training.samples import Window
from training.truth import Truth

Samples = list[tuple[Window, Truth]]


def test_frames_turn_with_the_hand(small_samples: Samples) -> None:
    joints = small_samples[0][1].joints_local
    frames = bone_frames(joints)
    assert np.allclose(np.swapaxes(frames, -1, -2) @ frames, np.eye(3), atol=1e-9)
    assert np.allclose(np.linalg.det(frames), 1.0)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    assert np.allclose(bone_frames(joints @ turn.T + 0.3), turn @ frames)


def test_offsets_in_labels_are_found(small_samples: Samples) -> None:
    offsets_m = np.random.default_rng(1).normal(0.0, 0.005, (21, 3))
    labelled = []
    for window, truth in small_samples:
        points = moved(truth.joints_local, offsets_m)
        matrices = window.projections.astype(np.float64)
        homogeneous = np.einsum("tvik,tjk->tvji", matrices[..., :3], points) + matrices[:, :, None, :, 3]
        labels = (homogeneous[..., :2] / homogeneous[..., 2:]).astype(np.float32)
        confidence = np.ones_like(window.label_confidence)
        labelled.append((replace(window, labels=labels, label_confidence=confidence), truth))
    # Half a millimetre: the fit takes a projection for linear.
    assert np.abs(fit_offsets_m(labelled) - offsets_m).max() < 1e-3


def test_only_the_truth_moves(small_samples: Samples) -> None:
    source = Source(small_samples)
    defined = DefinedByDetector(source)
    assert np.array_equal(defined[1].labels, source[1].labels)
    truth = defined.truth(1)
    assert truth is not None
    away_mm = 1e3 * np.linalg.norm(truth.joints_local - small_samples[1][1].joints_local, axis=-1)
    assert np.allclose(away_mm, 1e3 * np.linalg.norm(detector_offsets_m(), axis=-1))
    # Tips by about a centimetre, knuckles by less.
    assert away_mm[0, 8] > 5.0
    assert len(defined) == 3
