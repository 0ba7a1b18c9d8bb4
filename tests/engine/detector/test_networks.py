"""The networks find rendered hands where they are."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.crops import crop_around_joints, crop_around_palm, sample_crop
from engine.detector.networks import LANDMARK_INPUT_PX, LandmarkNetwork, PalmDetector, open_session
from engine.errors import EngineError
from engine.hand_model import Side
from engine.synthetic import HandScene, make_rig

Array = NDArray[np.float64]

RIG = make_rig(3, seed=5)
FRAMES = range(0, 240, 40)
PALM = [0, 5, 9, 13, 17]


@pytest.fixture(scope="module")
def palms() -> PalmDetector:
    return PalmDetector()


@pytest.fixture(scope="module")
def landmarks() -> LandmarkNetwork:
    return LandmarkNetwork()


@lru_cache(maxsize=2)
def _pictures(side: Side) -> list[tuple[int, NDArray[np.uint8], Array]]:
    """View, picture and true joints in the world."""
    scene = HandScene(hands=1, seed=3, side=side)
    return [
        (view, scene.render(camera, index), scene.truth(index)[0].joints_world)
        for index in FRAMES
        for view, camera in enumerate(RIG)
    ]


@pytest.mark.parametrize("side", ["right", "left"])
def test_palms_are_found_where_they_are(side: Side, palms: PalmDetector) -> None:
    found = []
    for view, image, joints in _pictures(side):
        pixels = RIG.cameras[view].project(joints)
        detected = palms.detect(image)
        if not detected:
            found.append(False)
            continue
        best = detected[0]
        assert best.score >= 0.5
        away = [
            np.linalg.norm(best.center_px - pixels[PALM].mean(axis=0)),
            np.linalg.norm(best.wrist_px - pixels[0]),
            np.linalg.norm(best.middle_knuckle_px - pixels[9]),
        ]
        found.append(max(away) < 0.6 * best.size_px)
        span = np.ptp(pixels[PALM], axis=0).max()
        assert 0.6 * span < best.size_px < 4.0 * span
    assert np.mean(found) >= 0.85


def test_palms_come_best_first_and_apart(palms: PalmDetector) -> None:
    scene = HandScene(hands=2, seed=3)
    counts = []
    for index in FRAMES:
        for camera in RIG:
            detected = palms.detect(scene.render(camera, index))
            counts.append(len(detected))
            scores = [palm.score for palm in detected]
            assert scores == sorted(scores, reverse=True)
            for i, a in enumerate(detected):
                for b in detected[i + 1 :]:
                    assert np.linalg.norm(a.center_px - b.center_px) > 0.3 * min(a.size_px, b.size_px)
    assert np.median(counts) == 2
    assert max(counts) <= 4


def test_a_palm_is_where_it_is_in_any_format(palms: PalmDetector) -> None:
    # Black borders and a larger scale move and scale what is found.
    shifts, scales = [], []
    for _, image, _ in _pictures("right")[:12]:
        plain = palms.detect(image)
        bordered = palms.detect(np.pad(image, ((160, 0), (0, 0), (0, 0))))
        doubled = palms.detect(image.repeat(2, axis=0).repeat(2, axis=1))
        if plain and bordered and doubled:
            shifts.append(bordered[0].center_px - plain[0].center_px)
            # A pixel becomes two: x -> 2 x + 0.5 at their centre.
            scales.append(doubled[0].center_px - (2 * plain[0].center_px + 0.5))
            assert doubled[0].size_px == pytest.approx(2 * plain[0].size_px, rel=0.05)
    assert len(shifts) >= 8
    np.testing.assert_allclose(np.median(shifts, axis=0), (0, 160), atol=6)
    np.testing.assert_allclose(np.median(scales, axis=0), 0.0, atol=0.5)


def test_a_mirrored_picture_gives_mirrored_palms(palms: PalmDetector) -> None:
    # The middle of a palm and of its mirror image add up to the width, less one: pixel centres are whole numbers.
    sums = []
    for side in ("right", "left"):
        for _, image, _ in _pictures("right" if side == "right" else "left"):
            plain, mirrored = palms.detect(image), palms.detect(np.ascontiguousarray(image[:, ::-1]))
            if plain and mirrored:
                sums.append(plain[0].center_px[0] + mirrored[0].center_px[0])
    assert len(sums) > 25
    assert np.median(sums) == pytest.approx(RIG.cameras[0].width - 1, abs=1.2)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_empty_picture_holds_no_palm(value: int, palms: PalmDetector) -> None:
    assert palms.detect(np.full((480, 640, 3), value, np.uint8)) == []
    assert palms.detect(np.full((720, 80, 3), value, np.uint8)) == []


def test_noise_holds_no_palm(palms: PalmDetector) -> None:
    rng = np.random.default_rng(1)
    assert palms.detect(rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)) == []


@pytest.mark.parametrize("side", ["right", "left"])
def test_joints_are_found_in_the_crop(side: Side, landmarks: LandmarkNetwork) -> None:
    errors, right = [], []
    for view, image, joints in _pictures(side):
        camera = RIG.cameras[view]
        points = camera.to_camera(joints)
        crop = crop_around_joints(points, LANDMARK_INPUT_PX)
        assert crop is not None
        seen = landmarks.infer(sample_crop(image, camera, crop))
        turned = points @ crop.R_crop_camera.T
        expected = crop.focal_px * turned[:, :2] / turned[:, 2:] + crop.principal_px
        assert 0.0 <= seen.presence <= 1.0
        if seen.presence > 0.5:
            errors.append(np.median(np.linalg.norm(seen.keypoints_crop_px - expected, axis=1)))
            right.append(seen.right_probability)
    assert len(errors) >= 0.85 * len(_pictures(side))
    assert np.median(errors) < 0.04 * LANDMARK_INPUT_PX
    # Single views mistake a side now and then; most do not.
    says_right = np.array(right) > 0.5
    assert np.mean(says_right if side == "right" else ~says_right) >= 0.7


@pytest.mark.parametrize("side", ["right", "left"])
def test_from_picture_to_joints_without_knowing_anything(
    side: Side, palms: PalmDetector, landmarks: LandmarkNetwork
) -> None:
    near = []
    for view, image, joints in _pictures(side):
        camera = RIG.cameras[view]
        detected = palms.detect(image)
        if not detected:
            continue
        palm = detected[0]
        crop = crop_around_palm(
            camera, palm.center_px, palm.size_px, palm.wrist_px, palm.middle_knuckle_px, LANDMARK_INPUT_PX
        )
        assert crop is not None
        seen = landmarks.infer(sample_crop(image, camera, crop))
        pixels = camera.project_camera(crop.to_camera(seen.keypoints_crop_px))
        truth = camera.project(joints)
        near.append(np.median(np.linalg.norm(pixels - truth, axis=1)) < 0.2 * np.linalg.norm(truth[9] - truth[0]))
    assert np.mean(near) >= 0.8


def test_a_mirrored_crop_gives_mirrored_joints(landmarks: LandmarkNetwork) -> None:
    # Hands of both sides, so that what the network thinks of a side cancels out.
    sums = []
    for side in ("right", "left"):
        for view, image, joints in _pictures("right" if side == "right" else "left"):
            camera = RIG.cameras[view]
            crop = crop_around_joints(camera.to_camera(joints), LANDMARK_INPUT_PX)
            assert crop is not None
            sampled = sample_crop(image, camera, crop)
            plain, mirrored = landmarks.infer(sampled), landmarks.infer(np.ascontiguousarray(sampled[:, ::-1]))
            if min(plain.presence, mirrored.presence) > 0.8:
                sums.append((plain.keypoints_crop_px + mirrored.keypoints_crop_px)[:, 0].mean())
    assert len(sums) > 25
    # Half of what misses is each joint's offset: it should be a fraction of a pixel.
    assert abs(np.mean(sums) - (LANDMARK_INPUT_PX - 1)) / 2 < 0.4


def test_a_crop_of_nothing_holds_no_hand(landmarks: LandmarkNetwork) -> None:
    size = LANDMARK_INPUT_PX
    noise = np.random.default_rng(2).integers(0, 256, (size, size, 3), dtype=np.uint8)
    for crop in (np.zeros((size, size, 3), np.uint8), np.full((size, size, 3), 127, np.uint8), noise):
        assert landmarks.infer(crop).presence < 0.5


def test_a_missing_network_says_so() -> None:
    with pytest.raises(EngineError, match=r"nowhere\.onnx.*cannot be opened.*reinstall"):
        open_session("nowhere.onnx")
