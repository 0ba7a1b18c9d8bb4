"""Bundle adjustment on free points: the truth comes back, as far as the points' noise lets it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calibration import Camera, Rig
from calibration.files import load_calibration, save_calibration
from calibration.solving.lenses import belief_of, held_belief
from calibration.solving.points import AdjustedPoints, PointView, adjust_points
from calibration.solving.projection import lens_of, with_lens
from tests.calibration.boards.rigs import small_rig

NOISE_PX = 0.2
RIG = small_rig(4).cameras
IDS = tuple(camera.id for camera in RIG)
ONE_LENS = tuple(with_lens(camera, lens_of(RIG[0])) for camera in RIG)
POINTS = np.random.default_rng(1).uniform((-0.15, -0.12, 0.3), (0.15, 0.12, 0.8), (200, 3))

Cameras = tuple[Camera, ...]


def seen(cameras: Cameras) -> list[PointView]:
    """What cameras see of the points, in two views each."""
    rng = np.random.default_rng(2)
    views = []
    for camera in cameras:
        pixels = camera.project(POINTS) + rng.normal(0, NOISE_PX, (len(POINTS), 2))
        views += [PointView(camera.id, ids, pixels[ids]) for ids in np.split(np.arange(len(POINTS)), [120])]
    return views


def disturbed(cameras: Cameras, lens: float) -> Cameras:
    """Move all but the first camera by about a centimetre and half a degree; change all lenses alike."""
    rng = np.random.default_rng(3)
    factors = 1 + lens * rng.normal(0, 0.01, 4)
    changed = []
    for number, camera in enumerate(cameras):
        T = camera.T_camera_world.copy()
        if number:
            T[:3, :3] = Rotation.from_rotvec(rng.normal(0, 0.005, 3)).as_matrix() @ T[:3, :3]
            T[:3, 3] += rng.normal(0, 0.006, 3)
        numbers = lens_of(camera)
        numbers[:4] *= factors
        changed.append(with_lens(replace(camera, T_camera_world=T), numbers))
    return tuple(changed)


def scaled(cameras: Cameras, factor: float) -> Cameras:
    changed = []
    for camera in cameras:
        T = camera.T_camera_world.copy()
        T[:3, 3] *= factor
        changed.append(camera.with_transform(T))
    return tuple(changed)


def errors(found: Cameras, truth: Cameras) -> NDArray[np.float64]:
    """All numbers' errors `(Q,)`, in the order of the covariance."""
    off = []
    for camera, true in zip(found, truth, strict=True):
        R = camera.T_camera_world[:3, :3] @ true.T_camera_world[:3, :3].T
        shift = camera.T_camera_world[:3, 3] - R @ true.T_camera_world[:3, 3]
        off += [lens_of(camera) - lens_of(true), Rotation.from_matrix(R).as_rotvec(), shift]
    return np.concatenate(off)


def in_deviations(error: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    """Mean square of the free numbers' errors in standard deviations; 1 is expected, a few numbers go together."""
    sigma = np.sqrt(np.diag(covariance))
    assert np.abs(error[sigma == 0]).max() < 1e-12
    return float(np.mean((error[sigma > 0] / sigma[sigma > 0]) ** 2))


def solve(truth: Cameras, start: Cameras, *, free: bool = False, held: tuple[str, ...] = (),
          shared: tuple[tuple[str, ...], ...] = ()) -> AdjustedPoints:  # fmt: skip
    beliefs = {camera.id: belief_of(camera) if free else held_belief(camera) for camera in start}
    rough = POINTS + np.random.default_rng(4).normal(0, 0.01, POINTS.shape)
    return adjust_points(start, rough, seen(truth), beliefs, held=held, shared=shared, noise_px=NOISE_PX)


@pytest.mark.parametrize(
    ("truth", "free", "shared"),
    [(RIG, False, ()), (RIG, True, ()), (ONE_LENS, True, (IDS,))],
    ids=["fixed", "free", "shared"],
)
def test_the_truth_comes_back_as_the_covariance_says(
    truth: Cameras, free: bool, shared: tuple[tuple[str, ...], ...]
) -> None:
    start = disturbed(truth, lens=float(free))
    solved = solve(truth, start, free=free, shared=shared)
    assert solved.iterations < 60
    assert solved.noise_px == pytest.approx(NOISE_PX, rel=0.1)
    # The first camera stays, and its distance from the one farthest from it; which one that is, is as in the start.
    np.testing.assert_array_equal(solved.cameras[0].T_camera_world, start[0].T_camera_world)
    length = [np.linalg.norm(cameras[3].center_world) for cameras in (solved.cameras, start, truth)]
    assert length[0] == pytest.approx(length[1], rel=1e-5)
    scale = float(length[0] / length[2])
    assert 0.2 < in_deviations(errors(solved.cameras, scaled(truth, scale)), solved.covariance) < 3
    off = solved.points_world - scale * POINTS
    squares = np.einsum("pi,pij,pj->p", off, np.linalg.inv(solved.points_covariance), off)
    assert 0.3 < np.mean(squares) / 3 < 3
    lenses = [lens_of(camera) for camera in solved.cameras]
    if not free:
        np.testing.assert_array_equal(lenses, [lens_of(camera) for camera in start])
    if shared:
        np.testing.assert_array_equal(lenses, [lenses[0]] * 4)
    if free and not shared:
        assert abs(lenses[3][0] - lenses[0][0]) > 12


def test_one_lens_for_all_is_known_better_than_one_each() -> None:
    start = disturbed(ONE_LENS, lens=1.0)
    # What is believed of each of four lenses counts four times; here it says nothing.
    beliefs = {camera.id: replace(belief_of(camera), aspect_sigma=np.inf) for camera in start}
    each, one = (adjust_points(start, POINTS, seen(ONE_LENS), beliefs, shared=shared) for shared in ((), (IDS,)))
    np.testing.assert_array_less(np.diag(one.covariance)[:2], 0.8 * np.diag(each.covariance)[:2])


def test_two_held_cameras_hold_the_scale() -> None:
    solved = solve(RIG, RIG[:2] + disturbed(RIG, lens=0.0)[2:], held=IDS[:2])
    for camera, true in zip(solved.cameras[:2], RIG, strict=False):
        np.testing.assert_array_equal(camera.T_camera_world, true.T_camera_world)
    assert 0.2 < in_deviations(errors(solved.cameras, RIG), solved.covariance) < 3


def test_outliers_hardly_count() -> None:
    start, views = disturbed(RIG, lens=0.0), seen(RIG)
    beliefs = {camera.id: held_belief(camera) for camera in start}
    clean = adjust_points(start, POINTS, views, beliefs)
    rng = np.random.default_rng(5)
    wild = [replace(v, pixels=v.pixels + (rng.random((len(v.pixels), 1)) < 0.05) * rng.uniform(-60, 60, v.pixels.shape))
            for v in views]  # fmt: skip
    robust, plain = (
        in_deviations(
            errors(adjust_points(start, POINTS, wild, beliefs, robust_px=px).cameras, clean.cameras), clean.covariance
        )
        for px in (0.4, 1e6)
    )
    assert robust < 1.5
    assert plain > 100 * robust


def test_residuals_are_those_of_the_views() -> None:
    solved = solve(RIG, disturbed(RIG, lens=0.0))
    for view, residual in zip(seen(RIG), solved.residuals_px, strict=True):
        camera = next(c for c in solved.cameras if c.id == view.camera_id)
        np.testing.assert_allclose(
            residual, view.pixels - camera.project(solved.points_world[view.point_ids]), atol=1e-9
        )


def test_the_page_shows_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "calibration.md").read_text()
    (code,) = [part.split("```")[0] for part in page.split("```python\n")[1:] if "adjust_points" in part]
    monkeypatch.chdir(tmp_path)
    save_calibration(Rig(disturbed(RIG, lens=0.0), "desk"), tmp_path / "calibration.json")
    rng = np.random.default_rng(6)
    numbers = np.arange(len(POINTS))
    waved = {c.id: (numbers, c.project(POINTS) + rng.normal(0, NOISE_PX, (len(POINTS), 2))) for c in RIG}
    exec(code, {"seen": waved})  # noqa: S102 - our own page
    adjusted = load_calibration(tmp_path / "adjusted.json")
    start = load_calibration(tmp_path / "calibration.json")
    turns = [
        [np.linalg.norm(Rotation.from_matrix(c.T_camera_world[:3, :3] @ t.T_camera_world[:3, :3].T).as_rotvec())
         for c, t in zip(rig, RIG, strict=True)] for rig in (adjusted, start)
    ]  # fmt: skip
    assert max(turns[0]) < 0.2 * max(turns[1])


def test_what_cannot_be_solved_is_said() -> None:
    views, beliefs = seen(RIG), {camera.id: held_belief(camera) for camera in RIG}
    with pytest.raises(ValueError, match="no camera 'cam9'; there are cam0"):
        adjust_points(RIG, POINTS, views, beliefs, held=["cam9"])
    with pytest.raises(ValueError, match="camera cam0 saw point 0 2 times"):
        adjust_points(RIG, POINTS, [*views, views[0]], beliefs)
    with pytest.raises(ValueError, match="200 points were seen by fewer than two cameras, the first is point 0"):
        adjust_points(RIG, POINTS, views[:2], beliefs)
    with pytest.raises(ValueError, match="rays of 200 points do not meet, the first is point 0"):
        adjust_points(RIG, None, views[:2], beliefs)
    with pytest.raises(ValueError, match="share a lens but differ in it"):
        adjust_points(RIG, POINTS, views, beliefs, shared=[IDS])
