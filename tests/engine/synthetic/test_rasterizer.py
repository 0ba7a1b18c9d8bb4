"""The rasterizer against a loop over pixels and triangles, and laws of what lies before what."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.synthetic.rasterizer import Mesh, rasterize, vertex_normals

WIDTH, HEIGHT = 40, 30


def soup(seed: int, triangles: int, low: float = -8.0, high: float = 48.0, cull: bool = True) -> Mesh:
    rng = np.random.default_rng(seed)
    return Mesh(
        pixels=rng.uniform(low, high, (3 * triangles, 2)),
        depths=rng.uniform(0.3, 0.9, 3 * triangles),
        faces=np.arange(3 * triangles, dtype=np.int32).reshape(-1, 3),
        colors_bgr=rng.uniform(0.0, 255.0, (3 * triangles, 3)).astype(np.float32),
        cull=cull,
    )


def square(left: float, top: float, size: float, depth: float, color: float) -> Mesh:
    corners = np.array([(left, top), (left, top + size), (left + size, top + size), (left + size, top)])
    return Mesh(
        pixels=corners,
        depths=np.full(4, depth),
        faces=np.array([(0, 1, 2), (0, 2, 3)], np.int32),
        colors_bgr=np.full((4, 3), color, np.float32),
    )


def by_hand(meshes: list[Mesh]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Colour, depth and mesh at each pixel centre, one pixel and one triangle at a time."""
    color = np.zeros((HEIGHT, WIDTH, 3))
    inverse = np.zeros((HEIGHT, WIDTH))
    owner = np.full((HEIGHT, WIDTH), -1)
    for number, mesh in enumerate(meshes):
        for face in mesh.faces:
            a, b, c = mesh.pixels[face]
            area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
            if (mesh.cull and area >= 0) or area == 0:
                continue
            for y in range(HEIGHT):
                for x in range(WIDTH):
                    v = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
                    w = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
                    weights = np.array([1.0 - v - w, v, w])
                    if weights.min() < 0.0:
                        continue
                    here = weights @ (1.0 / mesh.depths[face])
                    if here > inverse[y, x]:
                        inverse[y, x], owner[y, x] = here, number
                        color[y, x] = weights @ mesh.colors_bgr[face]
    with np.errstate(divide="ignore"):
        return color, 1.0 / inverse, owner


@pytest.mark.parametrize("cull", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_one_sample_a_pixel_agrees_with_a_loop_over_pixels(seed: int, cull: bool) -> None:
    meshes = [soup(2 * seed, 5, cull=cull), soup(2 * seed + 1, 4, cull=cull)]
    raster = rasterize(meshes, WIDTH, HEIGHT, supersample=1)
    color, depth, owner = by_hand(meshes)
    np.testing.assert_array_equal(raster.mesh_ids(), owner)
    np.testing.assert_allclose(raster.depth(), depth, rtol=1e-6)
    drawn = np.zeros((HEIGHT, WIDTH, 4), np.float32)
    drawn[raster.window] = raster.layers
    np.testing.assert_array_equal(drawn[:, :, 3], owner >= 0)
    np.testing.assert_allclose(drawn[:, :, :3], color, atol=2e-2)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_mesh_hides_the_farther_in_either_order(order: tuple[int, int]) -> None:
    far, near = square(4, 4, 16, 0.8, 50.0), square(10, 10, 16, 0.5, 200.0)
    meshes = [(far, near)[i] for i in order]
    raster = rasterize(meshes, WIDTH, HEIGHT)
    image = raster.over(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert raster.depth()[15, 15] == pytest.approx(0.5)
    assert raster.depth()[6, 6] == pytest.approx(0.8)
    assert raster.mesh_ids()[15, 15] == order.index(1)
    assert image[15, 15].tolist() == [200, 200, 200]
    assert image[6, 6].tolist() == [50, 50, 50]
    assert np.isinf(raster.depth()[28, 38])


def test_coverage_is_the_area_of_the_shape() -> None:
    # Twice as fine a grid of samples: a square on quarter-pixel borders is covered exactly.
    raster = rasterize([square(4.0, 5.5, 9.5, 0.6, 100.0)], WIDTH, HEIGHT, supersample=2)
    assert raster.layers[:, :, 3].sum() == pytest.approx(9.5**2, rel=1e-6)


def test_triangles_that_share_edges_leave_no_gap_and_no_overlap() -> None:
    grid = np.stack(np.meshgrid(np.linspace(3.3, 33.1, 9), np.linspace(2.7, 25.2, 8)), axis=-1)
    grid[1:-1, 1:-1] += np.random.default_rng(3).uniform(-1.0, 1.0, (6, 7, 2))
    ids = np.arange(72).reshape(8, 9)
    a, b, c, d = ids[:-1, :-1].ravel(), ids[1:, :-1].ravel(), ids[1:, 1:].ravel(), ids[:-1, 1:].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
    mesh = Mesh(grid.reshape(-1, 2), np.full(72, 0.5), faces, np.full((72, 3), 80.0, np.float32))
    raster = rasterize([mesh], WIDTH, HEIGHT, supersample=1)
    # Its outline is a rectangle: every pixel centre inside is covered.
    covered = raster.mesh_ids() >= 0
    assert covered[3:26, 4:34].all()
    assert covered.sum() == 23 * 30


def test_what_is_behind_or_beside_the_camera_is_not_drawn() -> None:
    mesh = square(4, 4, 10, 0.5, 90.0)
    behind = Mesh(mesh.pixels, np.array([-0.5, 0.5, 0.5, 0.5]), mesh.faces, mesh.colors_bgr)
    nowhere = Mesh(np.full((4, 2), np.nan), mesh.depths, mesh.faces, mesh.colors_bgr)
    beside = square(200.0, -80.0, 10, 0.5, 90.0)
    from_inside = Mesh(mesh.pixels, mesh.depths, mesh.faces[:, ::-1].copy(), mesh.colors_bgr)
    background = np.full((HEIGHT, WIDTH, 3), 7, np.uint8)
    for meshes in ([], [behind], [nowhere], [beside], [from_inside], [nowhere, beside]):
        raster = rasterize(meshes, WIDTH, HEIGHT)
        np.testing.assert_array_equal(raster.over(background), background)
        assert np.isinf(raster.depth()).all()
        assert (raster.mesh_ids() == -1).all()


def test_normals_of_a_box_point_away_from_its_middle() -> None:
    corners = np.array([(x, y, z) for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.int32)
    normals = vertex_normals(corners, faces)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0)
    assert (np.einsum("ni,ni->n", normals, corners) > 1.4).all()
