"""A z-buffer triangle rasterizer in numpy: triangles become spans, spans become fragments, the nearest fragment wins.

Every step is one array operation over all triangles, so that the cost is that of the pixels covered. A triangle's row
of pixels is found from its edges exactly, which wastes no test on pixels outside it, and shared edges are evaluated
alike on both sides, which leaves no gap. Vertices come already projected, distorted lens and all: with fine triangles,
colour and inverse depth are linear enough between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_INDEX_BITS: Final = 24
_INDEX_MASK: Final = (1 << _INDEX_BITS) - 1
_DEPTH_STEPS: Final = float(1 << 38)
_MIN_DEPTH_M: Final = 1e-3
_SLIVER_AREA: Final = 0.02
# So many spans, or samples, at a time: what is reckoned on the way stays in a processor's cache.
_SPANS: Final = 2048
_SAMPLES: Final = 1 << 15


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles as one camera sees them.

    Args:
        pixels: Projected vertices `(N, 2)`, distorted pixels, integers are pixel centres; NaN is not in front.
        depths: Depth of each vertex `(N,)` along the camera's +z axis, metres.
        faces: Triangles `(F, 3)`, counter-clockwise seen from outside.
        colors_bgr: Shaded colour of each vertex `(N, 3)`, 0 to 255.
        cull: Leave out triangles that show their inside.
    """

    pixels: NDArray[np.float64]
    depths: NDArray[np.float64]
    faces: NDArray[np.int32]
    colors_bgr: NDArray[np.float32]
    cull: bool = True


@dataclass(frozen=True, eq=False)
class Raster:
    """What meshes cover of an image, on a window that holds all of it.

    Args:
        height: Image height, pixels.
        width: Image width, pixels.
        origin: Column and row of the window's first pixel.
        layers: Colour of the meshes, 0 to 255 and weighted by coverage, then the coverage in [0, 1] `(h, w, 4)`.
        samples_key: Depth above the index bits, triangle in them, of each sample's nearest fragment `(h s, w s)`; -1
            where there is none.
        triangle_mesh: Which mesh each triangle is of, in the order given.
        key_scale: Steps of a key's depth in 1/metres.
    """

    height: int
    width: int
    origin: tuple[int, int]
    layers: NDArray[np.float32]
    samples_key: NDArray[np.int64]
    triangle_mesh: NDArray[np.int16]
    key_scale: float

    @cached_property
    def _nearest(self) -> NDArray[np.int64]:
        """Key of the nearest sample in each pixel of the window `(h, w)`."""
        h, w = self.layers.shape[:2]
        if h == 0 or w == 0:
            return np.full((h, w), -1, np.int64)
        s = len(self.samples_key) // h
        nearest: NDArray[np.int64] = self.samples_key.reshape(h, s, w, s).max(axis=(1, 3))
        return nearest

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the window in the image."""
        x, y = self.origin
        h, w = self.layers.shape[:2]
        return slice(y, y + h), slice(x, x + w)

    def depth(self) -> NDArray[np.float32]:
        """Depth map of the image `(height, width)`, metres; infinite where nothing is. The nearest sample counts."""
        image = np.full((self.height, self.width), np.inf, np.float32)
        key = self._nearest
        with np.errstate(divide="ignore"):
            image[self.window] = np.where(key >= 0, self.key_scale / (key >> _INDEX_BITS), np.inf)
        return image

    def mesh_ids(self) -> NDArray[np.int16]:
        """Map `(height, width)` of which mesh is seen, in the order given; -1 where none is."""
        image = np.full((self.height, self.width), -1, np.int16)
        key = self._nearest
        if self.triangle_mesh.size:
            image[self.window] = np.where(key >= 0, self.triangle_mesh[np.maximum(key, 0) & _INDEX_MASK], -1)
        return image

    def over(self, background_bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Lay the meshes over a picture.

        Args:
            background_bgr: Picture `(height, width, 3)`.

        Returns:
            A new picture.
        """
        image = background_bgr.copy()
        if self.layers.size:
            patch = image[self.window].astype(np.float32)
            patch *= 1.0 - self.layers[:, :, 3:]
            patch += self.layers[:, :, :3]
            patch += 0.5
            image[self.window] = np.clip(patch, 0.0, 255.0, out=patch)
        return image


def rasterize(meshes: list[Mesh], width: int, height: int, supersample: int = 2) -> Raster:
    """Draw meshes into one z-buffer.

    Args:
        meshes: What to draw.
        width: Image width, pixels.
        height: Image height, pixels.
        supersample: Samples along each side of a pixel, for smooth edges; 1 samples pixel centres.

    Returns:
        The pixels covered.
    """
    corners, inverse, colors, owner = _front_triangles(meshes)
    if len(corners):
        low = np.floor(corners.min(axis=(0, 1)) + 0.5).astype(int)
        high = np.floor(corners.max(axis=(0, 1)) + 0.5).astype(int) + 1
        x0, y0 = np.clip(low, 0, (width, height))
        x1, y1 = np.clip(high, 0, (width, height))
    else:
        x0 = y0 = x1 = y1 = 0
    w, h = max(int(x1 - x0), 0), max(int(y1 - y0), 0)
    s = supersample
    # Samples get integer coordinates: sample 0 of pixel 0 lies at (0.5 / s - 0.5).
    corners = (corners - (x0 - 0.5, y0 - 0.5)) * s - 0.5
    key = _resolve(corners, inverse, w * s, h * s)
    layers = np.zeros((h * w, 4), np.float32)
    shading = _shading(corners, colors)
    rows = s * max(1, _SAMPLES // max(w * s * s, 1))
    for top in range(0, h * s, rows):
        _shade(
            shading, key[top * w * s : (top + rows) * w * s], top, layers[top // s * w : (top + rows) // s * w], w, s
        )
    return Raster(
        height=height,
        width=width,
        origin=(int(x0), int(y0)),
        layers=layers.reshape(h, w, 4),
        samples_key=key.reshape(h * s, w * s),
        triangle_mesh=owner,
        key_scale=_key_scale(inverse),
    )


def vertex_normals(vertices: ArrayLike, faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Area-weighted unit normals `(N, 3)` of vertices `(N, 3)`; a vertex without a face gets zero."""
    points = np.asarray(vertices, dtype=np.float64)
    a, b, c = (points[faces[:, i]] for i in range(3))
    u, v = b - a, c - a
    normal = np.empty_like(u)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        normal[:, i] = u[:, j] * v[:, k] - u[:, k] * v[:, j]
    index = faces.T.ravel()
    sums = np.stack(
        [np.bincount(index, weights=np.tile(normal[:, i], 3), minlength=len(points)) for i in range(3)], axis=1
    )
    length = np.sqrt(np.einsum("ni,ni->n", sums, sums))[:, None]
    return np.asarray(sums / np.maximum(length, 1e-30), dtype=np.float64)


def _front_triangles(
    meshes: list[Mesh],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32], NDArray[np.int16]]:
    """Corners `(T, 3, 2)`, inverse depths `(T, 3)`, colours `(T, 3, 3)` and mesh number of what can be seen."""
    corners, inverse, colors, owner = [], [], [], []
    for number, mesh in enumerate(meshes):
        points = mesh.pixels[mesh.faces]
        first, second = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
        # Image rows run downwards: counter-clockwise seen from outside is a negative area here.
        area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
        with np.errstate(invalid="ignore"):
            seen = area < 0.0 if mesh.cull else area != 0.0
            seen &= np.isfinite(area) & (mesh.depths[mesh.faces] > _MIN_DEPTH_M).all(axis=1)
        faces = mesh.faces[seen]
        corners.append(points[seen])
        inverse.append(1.0 / mesh.depths[faces])
        colors.append(np.asarray(mesh.colors_bgr, np.float32)[faces])
        owner.append(np.full(len(faces), number, np.int16))
    if not corners:
        return np.empty((0, 3, 2)), np.empty((0, 3)), np.empty((0, 3, 3), np.float32), np.empty(0, np.int16)
    return np.concatenate(corners), np.concatenate(inverse), np.concatenate(colors), np.concatenate(owner)


def _gradients(
    corners: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gradients in x and in y `(T, C)` each of values `(T, 3, C)` that are linear between the corners."""
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    area = ax * by - ay * bx
    # A sliver covers next to nothing, but its gradient would be huge: it gets one value all over.
    scale = np.where(np.abs(area) > _SLIVER_AREA, 1.0 / area, 0.0)[:, None]
    first, second = (values[:, 1] - values[:, 0]) * scale, (values[:, 2] - values[:, 0]) * scale
    return by[:, None] * first - ay[:, None] * second, ax[:, None] * second - bx[:, None] * first


def _shading(corners: NDArray[np.float64], colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """What makes each triangle's colours of a column and a row: change along both, and value at zero `(3, C, T)`."""
    values = colors.astype(np.float64)
    in_x, in_y = _gradients(corners, values)
    at_zero = values[:, 0] - corners[:, 0, :1] * in_x - corners[:, 0, 1:] * in_y
    # Channel by channel, gathers stay contiguous, which is what this costs.
    return np.ascontiguousarray(np.stack([in_x, in_y, at_zero]).transpose(0, 2, 1), np.float32)


def _shade(
    shading: NDArray[np.float32],
    key: NDArray[np.int64],
    top: int,
    layers: NDArray[np.float32],
    width: int,
    supersample: int,
) -> None:
    """Colour some rows of pixels, each the mean of its samples.

    Args:
        shading: See `_shading`.
        key: Of the rows' samples `(h s w s,)`; see `_resolve`.
        top: The first row of samples.
        layers: Where to `(h w, 4)`; see `Raster.layers`. Zero.
        width: w.
        supersample: s.
    """
    s = supersample
    covered = np.flatnonzero(key >= 0)
    if not covered.size:
        return
    winner = key[covered] & _INDEX_MASK
    row = covered // (width * s)
    column = covered - row * (width * s)
    pixel = row // s * width + column // s
    x, y = column.astype(np.float32), (row + top).astype(np.float32)
    for channel, (in_x, in_y, at_zero) in enumerate(shading.transpose(1, 0, 2)):
        value = in_x.take(winner)
        value *= x
        along_y = in_y.take(winner)
        along_y *= y
        value += along_y
        value += at_zero.take(winner)
        layers[:, channel] = np.bincount(pixel, weights=value, minlength=len(layers))
    layers[:, 3] = np.bincount(pixel, minlength=len(layers))
    layers *= 1.0 / s**2


def _key_scale(inverse: NDArray[np.float64]) -> float:
    """Steps of a key's depth in 1/metres, so that the nearest corner fits with room to spare."""
    return _DEPTH_STEPS / (2.0 * float(inverse.max())) if inverse.size else 1.0


def _resolve(corners: NDArray[np.float64], inverse: NDArray[np.float64], width: int, height: int) -> NDArray[np.int64]:
    """Find the nearest triangle of each sample.

    Args:
        corners: Triangles `(T, 3, 2)` in sample coordinates.
        inverse: Inverse depth of each corner `(T, 3)`, 1/metres.
        width: Samples in a row.
        height: Rows.

    Returns:
        Keys `(height * width,)`: inverse depth in steps of `_key_scale` above the index bits, the triangle in them; -1
        where nothing is. The largest key of a sample is its nearest fragment.
    """
    buffer = np.full(width * height, -1, np.int64)
    if not len(corners) or not buffer.size:
        return buffer
    triangle, y, left, count = _spans(corners, width, height)
    in_x, in_y = (gradient[:, 0] for gradient in _gradients(corners, inverse[:, :, None]))
    steps = _key_scale(inverse)
    at_left = (inverse[:, 0] - corners[:, 0, 0] * in_x - corners[:, 0, 1] * in_y)[triangle]
    at_left += left * in_x[triangle]
    at_left += y * in_y[triangle]
    step = in_x[triangle] * steps
    end = np.cumsum(count)
    first = end - count
    offset = at_left * steps - first * step
    place = y * width + left - first
    for begin in range(0, len(count), _SPANS):
        spans = slice(begin, begin + _SPANS)
        repeats = count[spans]
        fragment = np.arange(first[begin], first[begin] + int(repeats.sum()))
        depth = np.repeat(step[spans], repeats)
        depth *= fragment
        depth += np.repeat(offset[spans], repeats)
        key = np.clip(depth, 0.0, _DEPTH_STEPS - 1.0, out=depth).astype(np.int64)
        key <<= _INDEX_BITS
        key |= np.repeat(triangle[spans], repeats)
        fragment += np.repeat(place[spans], repeats)
        np.maximum.at(buffer, fragment, key)
    return buffer


def _spans(
    corners: NDArray[np.float64], width: int, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Cut triangles into rows of samples: triangle, row, first column and number of columns of each span."""
    order = np.argsort(corners[:, :, 1], axis=1)
    by_y = np.take_along_axis(corners, order[:, :, None], axis=1)
    (xa, ya), (xb, yb), (xc, yc) = by_y[:, 0].T, by_y[:, 1].T, by_y[:, 2].T
    # Rows and columns are half-open, so that a sample on an edge belongs to one side only.
    top = np.clip(np.ceil(ya), 0, height).astype(np.int64)
    rows = np.maximum(np.clip(np.ceil(yc), 0, height).astype(np.int64) - top, 0)
    triangle = np.repeat(np.arange(len(corners)), rows)
    y = np.arange(len(triangle)) + np.repeat(top - (np.cumsum(rows) - rows), rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope_ac, slope_ab, slope_bc = (xc - xa) / (yc - ya), (xb - xa) / (yb - ya), (xc - xb) / (yc - yb)
        long_side = xa[triangle] + (y - ya[triangle]) * slope_ac[triangle]
        upper = y < yb[triangle]
        short_side = np.where(
            upper,
            xa[triangle] + (y - ya[triangle]) * slope_ab[triangle],
            xb[triangle] + (y - yb[triangle]) * slope_bc[triangle],
        )
    left = np.clip(np.ceil(np.minimum(long_side, short_side)), 0, width).astype(np.int64)
    right = np.clip(np.ceil(np.maximum(long_side, short_side)), 0, width).astype(np.int64)
    count = right - left
    drawn = count > 0
    return triangle[drawn], y[drawn], left[drawn], count[drawn]
