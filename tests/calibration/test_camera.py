"""A camera's contracts as laws over the range of lenses that rigs have."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from calibration import CalibrationError, Camera

ROOM4_CAM_0 = Camera(
    "cam_0",
    1280,
    720,
    [[903.55, 0, 618.31], [0, 907.88, 394.21], [0, 0, 1]],
    [-0.3320993, 0.04641969, -0.00429577, 0.00411324, 0.06656823],
)
# Barrel distortion alone: no ray lands further out than this many focal lengths from the principal point.
FOLDING = Camera("folds", 1280, 720, [[500, 0, 640], [0, 500, 360], [0, 0, 1]], [-0.33, 0, 0, 0, 0])
FOLDING_REACH_PX = 500 * (2 / 3) / np.sqrt(3 * 0.33)


def within(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


@st.composite
def transforms(draw: st.DrawFn) -> NDArray[np.float64]:
    T = np.eye(4)
    T[:3, :3] = cv2.Rodrigues(draw(arrays(float, 3, elements=within(-3, 3))))[0]
    T[:3, 3] = draw(arrays(float, 3, elements=within(-5, 5)))
    return T


@st.composite
def cameras(draw: st.DrawFn) -> Camera:
    """Lenses of machine vision and web cameras, none of which folds inside its image."""
    kind = draw(st.sampled_from(["none", "bc5", "bc8", "fisheye", "room4"]))
    if kind == "room4":
        return ROOM4_CAM_0.with_transform(draw(transforms()))
    width, height = draw(st.sampled_from([(640, 480), (720, 720), (1280, 720), (2448, 2048)]))
    focal = width * draw(within(0.7, 3.0))
    K = np.array([[focal, draw(within(-2, 2)), width * draw(within(0.45, 0.55))], [0, 0, 0], [0, 0, 1.0]])
    K[1] = [0, focal * draw(within(0.97, 1.03)), height * draw(within(0.45, 0.55))]
    small = within(-5e-3, 5e-3)
    if kind == "fisheye":
        distortion = [draw(within(-0.05, 0.05)), draw(within(-0.02, 0.02)), draw(small), draw(small)]
        return Camera("c", width, height, K, distortion, draw(transforms()), "fisheye")
    distortion = np.zeros(5)
    if kind != "none":
        distortion = [draw(within(-0.1, 0.2)), draw(within(-0.05, 0.2)), draw(small), draw(small), draw(within(0, 0.1))]
    if kind == "bc8":
        distortion = [*distortion, draw(within(-0.05, 0.2)), draw(within(0, 0.1)), draw(within(0, 0.02))]
    return Camera("c", width, height, K, distortion, draw(transforms()))


def pixels_of(camera: Camera, fractions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixels inside the image, of fractions `(N, 2)` in [0, 1]."""
    return fractions * (camera.width - 1, camera.height - 1)


def rays(normalized: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([normalized, np.ones((*normalized.shape[:-1], 1))], axis=-1)


fractions = arrays(float, (7, 2), elements=within(0, 1))


@given(cameras(), fractions)
def test_projecting_what_was_unprojected_gives_the_pixel_back(camera: Camera, fractions: NDArray[np.float64]) -> None:
    pixels = pixels_of(camera, fractions)
    back = camera.project_camera(rays(camera.unproject(pixels)))
    np.testing.assert_allclose(back, pixels, rtol=0, atol=1e-6)


@given(cameras(), fractions, arrays(float, (7, 1), elements=within(0.1, 5)))
def test_unprojecting_what_was_projected_gives_the_ray_back(
    camera: Camera, fractions: NDArray[np.float64], depth_m: NDArray[np.float64]
) -> None:
    expected = camera.unproject(pixels_of(camera, fractions))
    points_world = (rays(expected) * depth_m - camera.T_camera_world[:3, 3]) @ camera.T_camera_world[:3, :3]
    np.testing.assert_allclose(camera.unproject(camera.project(points_world)), expected, rtol=0, atol=1e-8)


@given(cameras(), arrays(float, (9, 3), elements=within(-5, 5)))
def test_a_pixel_of_any_point_leads_back_to_its_ray_or_is_nan(
    camera: Camera, points_camera: NDArray[np.float64]
) -> None:
    pixels = camera.project_camera(points_camera)
    seen = np.isfinite(pixels).all(axis=-1)
    assert not seen[points_camera[:, 2] <= 0].any()
    inside = seen & camera.contains(pixels)
    expected = points_camera[inside, :2] / points_camera[inside, 2:]
    np.testing.assert_allclose(camera.unproject(pixels[inside]), expected, rtol=1e-6, atol=1e-6)


@given(cameras(), fractions, arrays(float, (7, 1), elements=within(0.1, 5)))
def test_it_projects_as_opencv_does(
    camera: Camera, fractions: NDArray[np.float64], depth_m: NDArray[np.float64]
) -> None:
    points_camera = rays(camera.unproject(pixels_of(camera, fractions))) * depth_m
    K, zero = camera.K.copy(), np.zeros(3)
    K[0, 1] = 0  # OpenCV has no skew: it is added below, where it belongs
    project = cv2.fisheye.projectPoints if camera.model == "fisheye" else cv2.projectPoints
    expected = np.asarray(project(points_camera[:, None], zero, zero, K, camera.distortion)[0]).reshape(-1, 2)
    expected[:, 0] += camera.K[0, 1] * (expected[:, 1] - K[1, 2]) / K[1, 1]
    np.testing.assert_allclose(camera.project_camera(points_camera), expected, rtol=0, atol=1e-6)


@given(transforms(), transforms(), arrays(float, (4, 3), elements=within(-5, 5)))
def test_transforms_compose(
    T_camera_world: NDArray[np.float64], T_world_room: NDArray[np.float64], points_room: NDArray[np.float64]
) -> None:
    camera = ROOM4_CAM_0.with_transform(T_camera_world)
    points_world = points_room @ T_world_room[:3, :3].T + T_world_room[:3, 3]
    composed = camera.with_transform(T_camera_world @ T_world_room)
    np.testing.assert_allclose(composed.to_camera(points_room), camera.to_camera(points_world), atol=1e-9)


@given(transforms(), arrays(float, (4, 3), elements=within(-5, 5)))
def test_the_inverse_transform_undoes_it(T: NDArray[np.float64], points: NDArray[np.float64]) -> None:
    there, back = ROOM4_CAM_0.with_transform(T), ROOM4_CAM_0.with_transform(np.linalg.inv(T))
    np.testing.assert_allclose(back.to_camera(there.to_camera(points)), points, atol=1e-9)
    np.testing.assert_allclose(ROOM4_CAM_0.to_camera(points), points, atol=0)


@given(transforms())
def test_its_centre_is_its_origin(T: NDArray[np.float64]) -> None:
    camera = ROOM4_CAM_0.with_transform(T)
    np.testing.assert_allclose(camera.to_camera(camera.center_world), 0, atol=1e-9)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3), max_size=3))
def test_leading_shapes_are_kept(shape: list[int]) -> None:
    points = np.ones((*shape, 3))
    assert ROOM4_CAM_0.project(points).shape == (*shape, 2)
    assert ROOM4_CAM_0.unproject(points[..., :2]).shape == (*shape, 2)
    assert ROOM4_CAM_0.contains(points[..., :2]).shape == tuple(shape)


def test_a_point_that_is_not_in_front_has_no_pixel() -> None:
    behind = [[0, 0, -1], [0, 0, 0], [0.1, 0.1, -1e-9], [np.nan, 0, 1], [0, 0, np.nan]]
    assert np.isnan(ROOM4_CAM_0.project(behind)).all()


def test_a_pixel_that_no_ray_reaches_has_no_ray() -> None:
    reach = FOLDING_REACH_PX
    pixels = np.array([[640 + reach - 1, 360], [640 + reach + 1, 360], [640, 360 - reach - 1], [1e7, 1e7], [np.nan, 3]])
    assert np.isfinite(FOLDING.unproject(pixels)).all(axis=-1).tolist() == [True, False, False, False, False]


def test_a_ray_beyond_the_fold_does_not_come_back_into_the_image() -> None:
    fold = 1 / np.sqrt(3 * 0.33)
    pixels = FOLDING.project([[fold - 1e-3, 0, 1], [fold + 1e-3, 0, 1], [3, 0, 1]])
    assert np.isfinite(pixels).all(axis=-1).tolist() == [True, False, False]


def test_a_fisheye_has_no_ray_sideways_of_itself() -> None:
    camera = Camera("f", 2000, 2000, [[500, 0, 1000], [0, 500, 1000], [0, 0, 1]], np.zeros(4), model="fisheye")
    pixels = [[1000 + 500 * 1.5, 1000], [1000 + 500 * 1.6, 1000]]  # 1.5 and 1.6 rad off its axis
    rays = camera.unproject(pixels)
    np.testing.assert_allclose(rays[0], [np.tan(1.5), 0], rtol=1e-9)
    assert np.isnan(rays[1]).all()


def test_the_image_ends_half_a_pixel_beyond_its_outer_pixel_centres() -> None:
    pixels = [[-0.5, -0.5], [-0.6, 0], [1279.5, 719.5], [1279.6, 0], [np.nan, 0]]
    assert ROOM4_CAM_0.contains(pixels).tolist() == [True, False, True, False, False]
    assert ROOM4_CAM_0.contains([-3.4, 722.4], margin_px=3)


def test_every_reason_is_listed_at_once() -> None:
    T = np.diag([1.0, 1.0, -1.0, 1.0])
    T[:3, 3] = 16_000  # millimetres that someone took for metres
    with pytest.raises(CalibrationError) as caught:
        Camera("top", 0, 720, [[-1, 0, 0], [5, 900, 0], [0, 0, 2]], [0.1, 0.2, 0.3], T)
    reasons = caught.value.reasons["top"]
    for part in ("0x720", "focal length", "upper triangular", "3 numbers", "determinant -1", "another unit"):
        assert any(part in reason for reason in reasons), part
    assert str(caught.value).count("camera 'top': ") == len(reasons) == 6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"K": np.eye(2)}, "3x3"),
        ({"K": np.full((3, 3), np.inf)}, "3x3 with finite"),
        ({"K": [[1e5 * 1280, 0, 640], [0, 1e5 * 1280, 360], [0, 0, 1]]}, "is K in pixels"),
        ({"K": [[900, 0, 9000], [0, 900, 360], [0, 0, 1]]}, "principal point"),
        ({"distortion": np.zeros((1, 5))}, "takes 5 or 8"),
        ({"distortion": [np.nan] * 5}, "not finite"),
        ({"distortion": [1e7] * 5}, "no lens"),
        ({"T_camera_world": np.eye(3)}, "4x4"),
        ({"T_camera_world": 1e300 * np.eye(4)}, "rotation"),
        ({"T_camera_world": np.ones((4, 4)) * np.inf}, "finite"),
        ({"model": "pinhole"}, "'pinhole' is not known"),
        ({"model": "fisheye"}, "takes 4"),
    ],
)
def test_what_cannot_be_a_camera_is_refused(change: dict[str, object], reason: str) -> None:
    values = {"K": ROOM4_CAM_0.K, "distortion": np.zeros(5)} | change
    with pytest.raises(CalibrationError, match=reason):
        Camera("c", 1280, 720, **values)  # type: ignore[arg-type]


def test_its_numbers_cannot_be_changed_from_outside() -> None:
    K = ROOM4_CAM_0.K.copy()
    camera = Camera("c", 1280, 720, K)
    K[0, 0] = 1
    assert camera.K[0, 0] == ROOM4_CAM_0.K[0, 0]
    with pytest.raises(ValueError, match="read-only"):
        camera.K[0, 0] = 1
