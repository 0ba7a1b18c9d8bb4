"""A crop is a camera: what is found in it lies where the real camera saw it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import Camera
from engine.crops import CropCamera, crop_around_joints, crop_around_palm, crops_around_joints, sample_crop
from engine.hand_model import HandModel
from engine.hand_model.rotations import matrix_from_axis_angle
from engine.synthetic.rigs import look_at

Array = NDArray[np.float64]

SIZE_PX = 224
POSE = look_at(np.array([0.1, 0.5, 0.2]), np.array([0.02, -0.01, 0.0]), 0.3)
INTRINSICS = np.array([[520.0, 0.0, 322.5], [0.0, 518.0, 236.0], [0.0, 0.0, 1.0]])
# Strong distortion, so that a crop off the axis is visibly bent.
CAMERAS = {
    "pinhole": Camera("pinhole", 640, 480, INTRINSICS, np.zeros(5), POSE),
    "brown-conrady 5": Camera("bc5", 640, 480, INTRINSICS, np.array([-0.28, 0.09, 1e-3, -8e-4, 0.01]), POSE),
    "brown-conrady 8": Camera(
        "bc8", 640, 480, INTRINSICS, np.array([0.3, -0.1, 1e-3, 5e-4, 0.02, 0.6, -0.05, 0.01]), POSE
    ),
    "fisheye": Camera(
        "fisheye",
        640,
        480,
        INTRINSICS * [[0.55, 1, 1], [1, 0.55, 1], [1, 1, 1]],
        np.array([-0.03, 0.01, -0.004, 0.001]),
        POSE,
        "fisheye",
    ),
}


@pytest.fixture(params=list(CAMERAS))
def camera(request: pytest.FixtureRequest) -> Camera:
    return CAMERAS[request.param]


def _hand_in(camera: Camera, direction: Array, turn: Array, distance_m: float = 0.5) -> Array:
    """The rest hand's joints `(21, 3)` in a camera's coordinates, its middle along a direction."""
    joints = HandModel.load().with_shape(np.zeros(10)).rest_joints_21
    middle = direction / np.linalg.norm(direction) * distance_m
    return (joints - joints.mean(axis=0)) @ matrix_from_axis_angle(turn).T + middle


def _places(camera: Camera, seed: int, count: int) -> list[tuple[CropCamera, Array]]:
    """Crops of hands here and there in a camera's picture, with the hands' joints in its coordinates."""
    rng = np.random.default_rng(seed)
    places = []
    while len(places) < count:
        pixel = rng.uniform((80, 80), (camera.width - 80, camera.height - 80))
        direction = np.append(camera.unproject(pixel), 1.0)
        joints = _hand_in(camera, direction, rng.uniform(-1.0, 1.0, 3) * (0.5, 0.5, 3.0), rng.uniform(0.35, 0.7))
        crop = crop_around_joints(joints, SIZE_PX)
        assert crop is not None
        places.append((crop, joints))
    return places


def _in_crop(crop: CropCamera, points_camera: Array) -> Array:
    """Crop pixels of points in the real camera's coordinates."""
    turned = points_camera @ crop.R_crop_camera.T
    return crop.focal_px * turned[..., :2] / turned[..., 2:] + crop.principal_px


def test_pixels_directions_and_projection_agree(camera: Camera) -> None:
    for crop, joints in _places(camera, 1, 10):
        np.testing.assert_allclose(crop.R_crop_camera @ crop.R_crop_camera.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(crop.R_crop_camera) > 0
        pixels = _in_crop(crop, joints)
        np.testing.assert_allclose(np.cross(crop.to_camera(pixels), joints), 0.0, atol=1e-9)
        # Found in the crop, seen by the camera: the same scene point.
        np.testing.assert_allclose(
            camera.project_camera(crop.to_camera(pixels)), camera.project_camera(joints), atol=1e-6
        )
        world = (joints - camera.T_camera_world[:3, 3]) @ camera.T_camera_world[:3, :3]
        homogeneous = np.column_stack([world, np.ones(21)]) @ crop.projection(camera).T
        np.testing.assert_allclose(homogeneous[:, :2] / homogeneous[:, 2:], crop.rays(pixels), atol=1e-9)


def _dots(camera: Camera, pixels: Array, sigma_px: float = 2.5) -> NDArray[np.uint8]:
    """A black picture with a soft white dot at each pixel."""
    rows, columns = np.mgrid[: camera.height, : camera.width]
    image = np.zeros((camera.height, camera.width))
    for x, y in pixels:
        image = np.maximum(image, np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / sigma_px**2))
    return np.repeat(np.rint(255 * image).astype(np.uint8)[..., None], 3, axis=2)


def test_dots_lie_in_the_crop_where_they_should(camera: Camera) -> None:
    errors = []
    for crop, _ in _places(camera, 2, 3):
        grid = np.stack(np.meshgrid(np.linspace(30, SIZE_PX - 31, 5), np.linspace(30, SIZE_PX - 31, 5)), axis=-1)
        expected = grid.reshape(-1, 2)
        source = camera.project_camera(crop.to_camera(expected))
        inside = camera.contains(source, margin_px=-10.0)
        expected, source = expected[inside], source[inside]
        sampled = sample_crop(_dots(camera, source), camera, crop)[..., 0].astype(np.float64)
        rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX]
        for x, y in expected:
            near = np.hypot(columns - x, rows - y) < 15
            mass = np.where(near, sampled, 0.0)
            found = np.array([(columns * mass).sum(), (rows * mass).sum()]) / mass.sum()
            errors.append(np.linalg.norm(found - (x, y)))
    assert len(errors) > 30
    assert max(errors) <= 0.15


def test_a_gradient_is_read_at_the_right_place(camera: Camera) -> None:
    rows, columns = np.mgrid[: camera.height, : camera.width]
    image = np.stack([columns % 256, rows % 256, columns // 256 + 4 * (rows // 256)], axis=-1).astype(np.uint8)
    for crop, _ in _places(camera, 3, 3):
        sampled = sample_crop(image, camera, crop)
        grid = np.stack(np.meshgrid(np.arange(SIZE_PX), np.arange(SIZE_PX)), axis=-1).astype(np.float64)
        source = camera.project_camera(crop.to_camera(grid))
        # Away from where the counters wrap around, and from the picture's edge.
        smooth = (np.abs(source % 256 - 128) < 120).all(axis=-1) & camera.contains(source, margin_px=-2.0)
        assert smooth.mean() > 0.2
        difference = sampled[..., :2].astype(np.float64)[smooth] - (source % 256)[smooth]
        # Rounding to whole grey levels is 0.29 on average of squares.
        assert np.abs(difference).max() < 0.75
        assert np.abs(difference.mean(axis=0)).max() < 0.1


def test_outside_the_picture_is_black(camera: Camera) -> None:
    white = np.full((camera.height, camera.width, 3), 255, np.uint8)
    direction = np.append(camera.unproject(np.array([12.0, camera.height / 2])), 1.0)
    crop = crop_around_joints(_hand_in(camera, direction, np.zeros(3)), SIZE_PX)
    assert crop is not None
    sampled = sample_crop(white, camera, crop)
    grid = np.stack(np.meshgrid(np.arange(SIZE_PX), np.arange(SIZE_PX)), axis=-1).astype(np.float64)
    source = camera.project_camera(crop.to_camera(grid))
    outside = ~camera.contains(source, margin_px=1.0)
    assert 0.2 < outside.mean() < 0.8
    assert (sampled[outside] == 0).all()
    assert (sampled[camera.contains(source, margin_px=-1.0)] == 255).all()


def test_where_the_lens_has_no_rays_is_black() -> None:
    # This lens folds back beyond 0.74 of the focal length: most of a crop out there shows nothing at all.
    camera = replace(
        CAMERAS["brown-conrady 5"], distortion=np.array([-0.6, 0.0, 0.0, 0.0, 0.0]), width=1400, height=800
    )
    white = np.full((camera.height, camera.width, 3), 255, np.uint8)
    crop = crop_around_joints(_hand_in(camera, np.array([0.78, 0.0, 1.0]), np.zeros(3)), SIZE_PX)
    assert crop is not None
    grid = np.stack(np.meshgrid(np.arange(SIZE_PX), np.arange(SIZE_PX)), axis=-1).astype(np.float64)
    source = camera.project_camera(crop.to_camera(grid))
    nothing = np.isnan(source).any(axis=-1)
    assert 0.2 < nothing.mean() < 0.95
    assert (sample_crop(white, camera, crop)[nothing] == 0).all()


def test_a_crop_holds_the_hand_with_its_fingers_up(camera: Camera) -> None:
    for crop, joints in _places(camera, 4, 20):
        pixels = _in_crop(crop, joints)
        up = pixels[[5, 9, 13]].mean(axis=0) - pixels[0]
        assert up[1] < 0
        assert abs(up[0]) < 0.12 * abs(up[1])
        assert (pixels > 0).all()
        assert (pixels < SIZE_PX - 1).all()
        # And fills a fair share of it.
        assert np.ptp(pixels, axis=0).max() > 0.4 * SIZE_PX


def test_a_crop_does_not_depend_on_the_unit_of_depth(camera: Camera) -> None:
    # The engine aims crops by directions whose depth is 1.
    for crop, joints in _places(camera, 5, 5):
        again = crop_around_joints(joints / joints[:, 2:], SIZE_PX)
        assert again is not None
        assert again.focal_px == pytest.approx(crop.focal_px)
        np.testing.assert_allclose(again.R_crop_camera, crop.R_crop_camera, atol=1e-12)


@pytest.mark.parametrize("shift_m", [-1.2, -0.5, -0.45])
def test_a_hand_that_is_not_wholly_in_front_has_no_crop(shift_m: float) -> None:
    joints = _hand_in(CAMERAS["pinhole"], np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.5, 0.0]))
    assert crop_around_joints(joints, SIZE_PX) is not None
    assert crop_around_joints(joints + np.array([0.0, 0.0, shift_m]), SIZE_PX) is None


def test_many_crops_are_aimed_as_each_alone(camera: Camera) -> None:
    joints = np.stack([joints for _, joints in _places(camera, 7, 4)])
    joints[2, :, 2] -= 2.0
    crops = crops_around_joints(joints, SIZE_PX)
    assert [crop is None for crop in crops] == [False, False, True, False]
    for hand, crop in zip(joints, crops, strict=True):
        alone = crop_around_joints(hand, SIZE_PX)
        if crop is None or alone is None:
            assert alone is crop
            continue
        assert crop.focal_px == pytest.approx(alone.focal_px, rel=1e-12)
        np.testing.assert_allclose(crop.R_crop_camera, alone.R_crop_camera, rtol=0, atol=1e-13)
    assert crops_around_joints(joints[2:3], SIZE_PX) == [None]


def _palm_of(camera: Camera, joints: Array) -> tuple[Array, float, Array, Array]:
    """What a perfect palm detector would say of a hand: centre, size, wrist, middle knuckle."""
    pixels = camera.project_camera(joints)
    palm = pixels[[0, 1, 2, 5, 9, 13, 17]]
    low, high = palm.min(axis=0), palm.max(axis=0)
    return (low + high) / 2, float((high - low).max()), pixels[0], pixels[9]


def test_the_first_crop_resembles_the_next(camera: Camera) -> None:
    for crop, joints in _places(camera, 6, 20):
        center, size, wrist, knuckle = _palm_of(camera, joints)
        first = crop_around_palm(camera, center, size, wrist, knuckle, SIZE_PX)
        assert first is not None
        assert 0.5 < first.focal_px / crop.focal_px < 2.0
        middle = np.array([crop.principal_px, crop.principal_px])
        there = _in_crop(crop, first.to_camera(middle))
        assert np.linalg.norm(there - middle) < 0.2 * SIZE_PX
        # The same way up, to 20 degrees.
        above = _in_crop(crop, first.to_camera(middle - (0.0, 20.0))) - there
        assert above[1] < -abs(above[0]) / np.tan(np.radians(20))
        pixels = _in_crop(first, joints)
        assert ((pixels > 0) & (pixels < SIZE_PX - 1)).all(axis=1).sum() >= 19


def test_a_palm_without_direction_or_rays_has_no_crop() -> None:
    camera = CAMERAS["pinhole"]
    middle = np.array([320.0, 240.0])
    assert crop_around_palm(camera, middle, 80.0, middle, middle, SIZE_PX) is None
    folding = replace(CAMERAS["brown-conrady 5"], distortion=np.array([-0.6, 0.0, 0.0, 0.0, 0.0]), width=1400)
    far = np.array([1390.0, 240.0])
    assert np.isnan(folding.unproject(far)).any()
    assert crop_around_palm(folding, far, 80.0, far, far - (0.0, 60.0), SIZE_PX) is None
