"""Simulated labels err as the model says, and what was put into labels is found in them again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.hand_model import HandModel
from engine.synthetic import make_rig
from engine.synthetic.motion import HandMotion
from training.joint_definition import detector_offsets_m, moved
from training.label_noise import PRESETS, Levels, NoiseModel, NoisyLabeller, noisy_labeller
from training.label_noise.fit import Observed, errors_of, fit_noise, observe
from training.label_noise.memory import Memory, fit_memory, moved_by
from training.label_noise.model import OTHER_SIDE
from training.label_noise.seeing import Seeing, from_palm, seeing, to_palm
from training.samples import Window
from training.truth import Truth

Array = NDArray[np.float64]

VIEWS, FRAMES = 3, 5


def _samples(count: int, step: int = 2) -> list[tuple[Window, Truth]]:
    """Windows of moving hands before a rig, without rendering them: pictures are noise."""
    rng = np.random.default_rng(5)
    made = []
    shaped = HandModel.load().with_shape(np.zeros(10))
    for number in range(count):
        motion, rig = HandMotion(number // 4, "right", (0.0, 0.0, 0.0)), make_rig(VIEWS, number // 4)
        poses = [motion.at(10.0 * (number % 4) + step * t / 30.0) for t in range(FRAMES)]
        joints = np.stack([shaped.posed(pose.pose, pose.translation(shaped)).joints for pose in poses])
        origin = joints.mean(axis=(0, 1))
        projections = np.zeros((FRAMES, VIEWS, 3, 4))
        for v, camera in enumerate(rig):
            # A camera that looks at the hand: 0.22 m are a crop.
            ahead = (origin - camera.center_world) / (away := np.linalg.norm(origin - camera.center_world))
            across = np.cross([0.0, 0.0, 1.0], ahead)
            across /= np.linalg.norm(across)
            R = np.stack([across, np.cross(ahead, across), ahead])
            projections[:, v] = np.diag([away / 0.11, away / 0.11, 1.0]) @ np.c_[R, [0.0, 0.0, away]]
        crops = rng.integers(0, 256, (FRAMES, VIEWS, 16, 16, 3)).astype(np.uint8)
        nothing = np.zeros((FRAMES, VIEWS, 21), np.float32)
        mask = np.ones((FRAMES, VIEWS), np.float32)
        labels = np.zeros((*nothing.shape, 2), np.float32)
        window = Window(crops, projections.astype(np.float32), mask, labels, nothing)
        made.append((window, Truth(joints - origin)))
    return made


@pytest.fixture(scope="module")
def samples() -> list[tuple[Window, Truth]]:
    return _samples(40)


@pytest.fixture(scope="module")
def observed(samples: list[tuple[Window, Truth]]) -> Observed:
    return observe(samples)


@pytest.fixture(scope="module")
def model(observed: Observed) -> NoiseModel:
    """What was fitted, with looks that are centred on these pictures."""
    looks = observed.seen.of_crops.reshape(-1, 4)
    return replace(NoiseModel.load(), look_mean=looks.mean(axis=0), look_spread=looks.std(axis=0))


def _one(seen: Seeing, index: int) -> Seeing:
    return Seeing(**{name: getattr(seen, name)[index] for name in Seeing.__dataclass_fields__})


def _simulated(seen: Seeing, labeller: NoisyLabeller, seed: int = 0) -> tuple[Array, Array]:
    """Labels `(N, T, V, 21, 2)` and confidences of crops `(N, T, V)`."""
    made = [labeller.simulated(_one(seen, i), np.random.default_rng((seed, i))) for i in range(len(seen.places))]
    return np.stack([labels for labels, _ in made]), np.stack([each.max(axis=-1) for _, each in made])


def test_what_is_hidden_or_endwise_is_known(samples: list[tuple[Window, Truth]]) -> None:
    window, truth = samples[0]
    joints = truth.joints_local[:1]
    offsets_m = np.zeros((21, 3))
    # Cameras that look along a finger's bone, across it, and at a knuckle right through the next finger.
    finger = joints[0, 7] - joints[0, 6]
    across_it = np.cross(finger, joints[0, 9] - joints[0, 0])
    through = joints[0, 10] - joints[0, 14]
    looked = []
    for ahead in (-finger, across_it, through):
        ahead = ahead / np.linalg.norm(ahead)
        across = np.cross(ahead, [0.31, 0.52, 0.79])
        across /= np.linalg.norm(across)
        R = np.stack([across, np.cross(ahead, across), ahead])
        projection = np.diag([4.0, 4.0, 1.0]) @ np.c_[R, [0.0, 0.0, 0.5]]
        one = replace(
            window.with_views([0]),
            crops=window.crops[:1, :1],
            projections=projection[None, None].astype(np.float32),
            view_mask=np.ones((1, 1), np.float32),
            labels=window.labels[:1, :1],
            label_confidence=window.label_confidence[:1, :1],
        )
        looked.append(seeing(one, joints, offsets_m))
    along, across_them, behind = looked
    assert along.endwise[0, 0, 6] > 0.9
    assert across_them.endwise[0, 0, 6] < 0.1
    assert behind.hidden[0, 0, 10] > 0.9
    assert 0.0 <= behind.hidden.min() <= behind.hidden.max() <= 1.0


def test_places_are_the_detectors_joints(samples: list[tuple[Window, Truth]]) -> None:
    window, truth = samples[0]
    seen = seeing(window, truth.joints_local, detector_offsets_m())
    points = moved(truth.joints_local, detector_offsets_m())
    projection = window.projections[2, 1].astype(np.float64)
    expected = points[2] @ projection[:, :3].T + projection[:, 3]
    np.testing.assert_allclose(seen.places[2, 1], expected[:, :2] / expected[:, 2:], atol=1e-6)
    # Axes are those of the picture: a step along them moves a point along them.
    for axis in range(2):
        step = projection[:, :3] @ seen.axes[2, 1, axis]
        assert abs(step[axis]) > 10 * abs(step[1 - axis])


def test_the_palms_axes_turn_back(observed: Observed) -> None:
    vectors = np.random.default_rng(0).normal(size=observed.seen.places.shape)
    there = to_palm(vectors, observed.seen.places)
    np.testing.assert_allclose(from_palm(there, observed.seen.places), vectors, atol=1e-12)
    way = observed.seen.places[..., 9, :] - observed.seen.places[..., 0, :]
    along = to_palm(np.repeat(way[..., None, :], 21, axis=-2), observed.seen.places)
    np.testing.assert_allclose(along[..., 1], 0.0, atol=1e-12)
    assert along[..., 0].min() > 0.0


def test_memory_is_found_again() -> None:
    rng = np.random.default_rng(2)
    places = np.cumsum(rng.normal(0.0, 0.03, (600, FRAMES, 1, 2)), axis=1) + rng.normal(size=(600, 1, 21, 2))
    memory = Memory(kept=0.9, length=0.1, power=0.5)
    drawn = np.stack([memory.drawn(one, rng.random(FRAMES), 4, rng) for one in places])
    assert drawn.mean() == pytest.approx(0.0, abs=0.05)
    assert drawn.std() == pytest.approx(1.0, abs=0.06)
    found = fit_memory(places, drawn)

    def correlation(of: Memory, distance: float) -> float:
        return float(of.kept * (1 + (distance / of.length) ** 2) ** -of.power)

    for distance in (0.02, 0.05, 0.1):
        assert correlation(found, distance) == pytest.approx(correlation(memory, distance), abs=0.05)
    assert moved_by(places)[0, 1, 1] == 0.0


def test_what_was_put_into_labels_is_found_again(observed: Observed, model: NoiseModel) -> None:
    labels, confidence = _simulated(observed.seen, NoisyLabeller("x", model, Levels()))
    found = fit_noise(replace(observed, labels=labels, confidence=confidence))
    again, sure = _simulated(observed.seen, NoisyLabeller("x", found, Levels()), seed=1)
    first, second = (errors_of(observed.seen.places, *told) for told in ((labels, confidence), (again, sure)))
    for share in (0.1, 0.5, 0.9):
        sizes = [np.quantile(one.size[~one.missed], share) for one in (first, second)]
        assert sizes[1] == pytest.approx(sizes[0], rel=0.25)
    assert np.median(sure) == pytest.approx(np.median(confidence), abs=0.03)
    # Hidden joints err more, by about as much as they did.
    assert found.joint_by[0] == pytest.approx(model.joint_by[0], abs=0.3)
    assert found.error[0] == pytest.approx(model.error[0], abs=0.15)
    assert found.shared.mean() == pytest.approx(model.shared.mean(), abs=0.12)
    assert found.missed == pytest.approx(model.missed, abs=0.03)


def test_plain_numbers_are_the_model(model: NoiseModel) -> None:
    again = NoiseModel.from_plain(model.plain())
    np.testing.assert_allclose(again.modes, model.modes, rtol=1e-3)
    assert again.unit_memory == model.unit_memory
    assert isinstance(again.missed, float)


def test_levels_are_factors(observed: Observed, model: NoiseModel) -> None:
    places = observed.seen.places
    plain, _ = _simulated(observed.seen, NoisyLabeller("x", model, Levels(failures=0.0)))
    double, _ = _simulated(observed.seen, NoisyLabeller("x", model, Levels(error=2.0, failures=0.0)))
    np.testing.assert_allclose(double - places, 2.0 * (plain - places), atol=1e-9)
    never, confidence = _simulated(observed.seen, NoisyLabeller("x", model, Levels(failures=0.0)))
    assert confidence.min() > 0.0
    assert not errors_of(places, never, confidence).flipped.any()
    _, often = _simulated(observed.seen, NoisyLabeller("x", model, Levels(failures=10.0)))
    assert (often == 0.0).mean() == pytest.approx(10 * model.missed, rel=0.5)


def test_hidden_joints_err_more(observed: Observed, model: NoiseModel) -> None:
    labels, confidence = _simulated(observed.seen, NoisyLabeller("x", model, Levels()))
    length = np.linalg.norm(labels - observed.seen.places, axis=-1)[confidence > 0]
    hidden = observed.seen.hidden[confidence > 0]
    assert np.median(length[hidden > 0.7]) > 1.3 * np.median(length[hidden < 0.1])


def test_hands_that_hold_still_keep_their_errors(model: NoiseModel) -> None:
    labeller = NoisyLabeller("x", model, Levels())
    changes = []
    for step in (0, 12):
        told = observe(_samples(12, step))
        labels, confidence = _simulated(told.seen, labeller)
        error = (labels - told.seen.places)[(confidence > 0).all(axis=1).any(axis=-1)]
        changes.append(np.median(np.linalg.norm(np.diff(error, axis=1), axis=-1)))
    assert changes[0] < 0.3 * changes[1]


def test_views_share_an_idea_of_where_joints_are(observed: Observed, model: NoiseModel) -> None:
    off_mm = []
    for shared in (0.0, 1.0):
        labeller = NoisyLabeller("x", replace(model, shared=np.full(21, shared)), Levels(failures=0.0))
        labels, _ = _simulated(observed.seen, labeller)
        # In axes of space: what three views say of a joint's error, by least squares.
        error = labels - observed.seen.places
        normal = np.einsum("ntvai,ntvaj->ntij", observed.seen.axes, observed.seen.axes)
        right = np.einsum("ntvai,ntvja->ntji", observed.seen.axes, error)
        solved = np.linalg.solve(normal, np.swapaxes(right, -1, -2))
        off_mm.append(np.median(np.linalg.norm(solved, axis=-2)))
    assert off_mm[1] > 1.2 * off_mm[0]


def test_labels_follow_from_the_seed_and_not_from_other_labels(samples: list[tuple[Window, Truth]]) -> None:
    window, truth = samples[3]
    labeller = noisy_labeller("mediapipe")
    mask = window.view_mask.copy()
    mask[1, 2] = 0.0
    masked = replace(window, view_mask=mask, projections=np.where(mask[..., None, None] > 0, window.projections, 0.0))
    labels, confidence = labeller.label(masked, truth, np.random.default_rng(1))
    other = replace(masked, labels=masked.labels + 0.5)
    again, sure = labeller.label(other, truth, np.random.default_rng(1))
    np.testing.assert_array_equal(labels, again)
    np.testing.assert_array_equal(confidence, sure)
    assert confidence[1, 2].max() == 0.0
    assert labels[1, 2].max() == 0.0
    # MediaPipe has one confidence a hand.
    assert np.ptp(confidence, axis=-1).max() == 0.0
    replace(masked, labels=labels, label_confidence=confidence)


def test_presets_are_as_different_as_they_are_said_to_be(
    observed: Observed, samples: list[tuple[Window, Truth]]
) -> None:
    sizes = {}
    for name in PRESETS:
        labeller = noisy_labeller(name)
        away = []
        for index, (window, truth) in enumerate(samples[:6]):
            labels, confidence = labeller.label(window, truth, np.random.default_rng(index))
            offsets_m = detector_offsets_m() if PRESETS[name].own_joints else np.zeros((21, 3))
            places = seeing(window, truth.joints_local, offsets_m).places
            away.append(np.linalg.norm(labels - places, axis=-1)[confidence > 0])
        sizes[name] = float(np.median(np.concatenate(away)))
    assert sizes["openpose-like"] > sizes["wilor-like"]
    window, truth = samples[0]
    _, confidence = noisy_labeller("openpose-like").label(window, truth, np.random.default_rng(0))
    assert np.ptp(confidence, axis=-1).max() > 0.05
    with pytest.raises(ValueError, match="use one of mediapipe, openpose-like, wilor-like"):
        noisy_labeller("exact")


def test_the_other_side_of_a_hand_is_its_mirror() -> None:
    assert (OTHER_SIDE[OTHER_SIDE] == np.arange(21)).all()
    assert OTHER_SIDE[4] == 20
    assert OTHER_SIDE[[0, 9, 12]].tolist() == [0, 9, 12]


def test_windows_that_cannot_be_fitted_to_are_refused(samples: list[tuple[Window, Truth]]) -> None:
    window, truth = samples[0]
    with pytest.raises(ValueError, match="masked view"):
        observe([(replace(window, view_mask=np.zeros_like(window.view_mask)), truth)])
    with pytest.raises(ValueError, match="no windows"):
        observe([])
