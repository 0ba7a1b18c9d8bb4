"""Things that hands hold and that stand in the way: boxes, cylinders, balls and cards with colours and patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

PropKind = Literal["ball", "bottle", "box", "phone", "card", "pen"]

PINCHED: Final[frozenset[PropKind]] = frozenset({"card", "pen"})
"""What is held between thumb and index; the rest lies in the palm."""

_KINDS: Final[tuple[PropKind, ...]] = ("ball", "bottle", "box", "phone", "card", "pen")
_ROUND: Final[frozenset[PropKind]] = frozenset({"bottle", "pen"})
_GRID: Final = 10
_AROUND: Final = 24


@dataclass(frozen=True, eq=False, slots=True)
class Prop:
    """One thing, in axes of its own; the third is its long one.

    Args:
        kind: What it is.
        vertices: Mesh `(N, 3)`, metres, about its middle.
        faces: Triangles `(F, 3)`, counter-clockwise seen from outside.
        normals: Unit normals `(N, 3)`; edges are sharp.
        albedo_bgr: Reflected share of light `(N, 3)`.
        gloss: Strength of the highlight.
        half_m: From its middle to its surface along its axes `(3,)`.
    """

    kind: PropKind
    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    normals: NDArray[np.float64]
    albedo_bgr: NDArray[np.float64]
    gloss: float
    half_m: NDArray[np.float64]

    def distance(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Say how far points `(..., 3)` in the thing's axes are from its surface `(...)`, metres; negative inside."""
        if self.kind == "ball":
            return np.asarray(np.linalg.norm(points, axis=-1) - self.half_m[0], dtype=np.float64)
        if self.kind in _ROUND:
            around = np.hypot(points[..., 0], points[..., 1]) - self.half_m[0]
            beyond = np.stack([around, np.abs(points[..., 2]) - self.half_m[2]], axis=-1)
        else:
            beyond = np.abs(points) - self.half_m
        outside = np.linalg.norm(np.maximum(beyond, 0.0), axis=-1)
        return np.asarray(outside + np.minimum(beyond.max(axis=-1), 0.0), dtype=np.float64)


def draw_prop(rng: np.random.Generator, kind: PropKind | None = None) -> Prop:
    """Make up a thing of everyday size.

    Args:
        rng: Where all chance comes from.
        kind: What it is; drawn too where it is not said.

    Returns:
        The thing.
    """
    kind = kind or _KINDS[rng.integers(len(_KINDS))]
    match kind:
        case "ball":
            half = np.full(3, rng.uniform(0.022, 0.036))
        case "bottle":
            half = np.array([*np.full(2, rng.uniform(0.012, 0.03)), rng.uniform(0.05, 0.12)])
        case "pen":
            half = np.array([*np.full(2, rng.uniform(0.003, 0.006)), rng.uniform(0.05, 0.08)])
        case "box":
            half = rng.uniform(0.014, 0.03, 3)
        case "phone":
            half = np.array([rng.uniform(0.03, 0.04), rng.uniform(0.004, 0.007), rng.uniform(0.06, 0.08)])
        case "card":
            half = np.array([rng.uniform(0.025, 0.045), 0.0006, rng.uniform(0.035, 0.075)])
    mesh = _round(half, capped=kind != "ball") if kind == "ball" or kind in _ROUND else _block(half)
    vertices, normals, faces = mesh
    return Prop(kind, vertices, faces, normals, _pattern(vertices, normals, rng), float(rng.uniform(0.0, 0.5)), half)


def _pattern(
    vertices: NDArray[np.float64], normals: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Two colours in stripes, checks, by side, or one all over, and some dirt: `(N, 3)`."""
    first, second = rng.uniform(0.04, 0.95, (2, 3))
    if rng.random() < 0.5:
        # Most things are of dull colours.
        first = first.mean() + 0.25 * (first - first.mean())
    waves = vertices @ rng.normal(0.0, 1.0, (3, 2)) * rng.uniform(80.0, 500.0)
    match int(rng.integers(4)):
        case 0:
            share = np.zeros(len(vertices))
        case 1:
            share = (np.sin(waves[:, 0]) > 0.0).astype(np.float64)
        case 2:
            share = (np.sin(waves[:, 0]) * np.sin(waves[:, 1]) > 0.0).astype(np.float64)
        case _:
            share = (normals @ rng.normal(0.0, 1.0, 3) > 0.3).astype(np.float64)
    color = first + (second - first) * share[:, None]
    return np.asarray(np.clip(color * rng.normal(1.0, 0.05, (len(vertices), 1)), 0.02, 1.0), dtype=np.float64)


def _grid(rows: int, columns: int, first: int) -> NDArray[np.int32]:
    """Triangles between the points of a grid that are numbered row by row from `first`."""
    a = first + (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None]).ravel()
    quads = np.stack([a, a + 1, a + columns + 1, a + columns], axis=1)
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)


def _block(half: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]:
    steps = np.linspace(-1.0, 1.0, _GRID)
    u, v = (axis.ravel() for axis in np.meshgrid(steps, steps, indexing="ij"))
    vertices: list[NDArray[np.float64]] = []
    normals: list[NDArray[np.float64]] = []
    faces: list[NDArray[np.int32]] = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            side = np.empty((len(u), 3))
            side[:, axis] = sign
            # Which of the two comes first makes the outside of the triangles the outside of the block.
            others = ((axis + 1) % 3, (axis + 2) % 3)
            side[:, others[0]], side[:, others[1]] = (u, v) if sign > 0.0 else (v, u)
            normal = np.zeros(3)
            normal[axis] = sign
            vertices.append(side * half)
            normals.append(np.tile(normal, (len(u), 1)))
            # Rows run along the first axis: columns before rows turns the other way.
            faces.append(_grid(_GRID, _GRID, len(faces) * len(u))[:, ::-1])
    return np.concatenate(vertices), np.concatenate(normals), np.concatenate(faces)


def _round(
    half: NDArray[np.float64], *, capped: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]:
    """An ellipsoid, or a cylinder with flat ends."""
    around = np.linspace(0.0, 2.0 * np.pi, _AROUND)
    ring = np.stack([np.cos(around), np.sin(around)], axis=1)
    if capped:
        heights = np.array([-1.0, *np.linspace(-1.0, 1.0, 14), 1.0])
        radii = np.array([0.0, *np.ones(14), 0.0])
        upward = np.array([-1.0, *np.zeros(14), 1.0])
    else:
        heights = np.sin(np.linspace(-0.5 * np.pi, 0.5 * np.pi, 16))
        radii = np.sqrt(np.maximum(1.0 - heights**2, 0.0))
        upward = heights
    sphere = np.concatenate(
        [radii[:, None, None] * ring[None], np.broadcast_to(heights[:, None, None], (len(heights), _AROUND, 1))], axis=2
    )
    outward = np.sqrt(1.0 - upward**2)
    normals = np.concatenate(
        [
            outward[:, None, None] * ring[None] / half[:2],
            np.broadcast_to((upward / half[2])[:, None, None], (len(heights), _AROUND, 1)),
        ],
        axis=2,
    ).reshape(-1, 3)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return sphere.reshape(-1, 3) * half, normals, _grid(len(heights), _AROUND, 0)
