"""Inputs for a network that nobody filmed: to compare runtimes with each other, and to time them."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.backends.base import NetworkInputs
from engine.backends.pictures import PictureInputs
from engine.kernels.places import NODE_SPACING_PX, nodes_along
from engine.model_card import ModelCard
from engine.synthetic.rigs import look_at

_CELL_PX = 8
_JOINTS = 21
# The crop's edge is so far from the hand's middle.
_REACH_M = 0.13
# A crop's pixel is about so many of a picture's: a hand half a metre before a camera of 1280 pixels.
_PICTURE_SCALE = 1.2


def trial_inputs(card: ModelCard, hands: int, views: int, *, seed: int = 0) -> NetworkInputs:
    """Make up inputs: crops of coarse noise, cameras on a ring about the hand, a state of noise.

    Args:
        card: Whose sizes they have.
        hands: B.
        views: V, all of them usable.
        seed: Equal seeds give equal inputs.

    Returns:
        The inputs.
    """
    rng = np.random.default_rng(seed)
    side = card.input_px
    projections = np.empty((hands, views, 3, 4), np.float32)
    for hand in range(hands):
        for view in range(views):
            angle = 2 * np.pi * (view + rng.uniform(0.0, 0.4)) / max(views, 3)
            center_m = np.array([np.cos(angle), np.sin(angle), rng.uniform(0.2, 0.8)]) * rng.uniform(0.5, 0.9)
            focal = np.linalg.norm(center_m) / _REACH_M
            projections[hand, view] = np.diag([focal, focal, 1.0]) @ look_at(center_m, np.zeros(3))[:3]
    coarse = rng.integers(0, 256, size=(hands, views, side // _CELL_PX, side // _CELL_PX, 3), dtype=np.uint8)
    return NetworkInputs(
        crops=coarse.repeat(_CELL_PX, axis=2).repeat(_CELL_PX, axis=3),
        projections=projections,
        view_mask=np.ones((hands, views), np.float32),
        noise=rng.standard_normal((hands, views, card.hypotheses, _JOINTS, 2), dtype=np.float32),
        state=rng.standard_normal((hands, card.blocks, 2, card.past, _JOINTS, card.channels), dtype=np.float32),
        state_valid=np.ones((hands, card.past), np.float32),
    )


def trial_pictures(
    card: ModelCard, hands: int, views: int, *, width: int = 1280, height: int = 720, seed: int = 0
) -> PictureInputs:
    """Make up inputs whose crops are still to be cut: pictures of coarse noise, and crops that lie askew in them.

    Args:
        card: Whose sizes they have.
        hands: B; every second one is mirrored.
        views: V.
        width: Of the pictures, pixels.
        height: Of the pictures, pixels.
        seed: Equal seeds give equal inputs.
    """
    rng = np.random.default_rng(seed)
    trial = trial_inputs(card, hands, views, seed=seed)
    shape = (views, -(-height // _CELL_PX), -(-width // _CELL_PX), 3)
    coarse = rng.integers(0, 256, size=shape, dtype=np.uint8).repeat(_CELL_PX, axis=1).repeat(_CELL_PX, axis=2)
    along = np.arange(nodes_along(card.input_px)) * NODE_SPACING_PX - (card.input_px - 1) / 2
    grid = np.stack(np.meshgrid(along, along), axis=-1) * _PICTURE_SCALE
    angles = rng.uniform(-np.pi, np.pi, (hands, views))
    turns = np.stack([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]]).transpose(2, 3, 0, 1)
    centers = rng.uniform((0.35, 0.35), (0.65, 0.65), (hands, views, 2)) * (width, height)
    nodes = np.einsum("bvij,xyj->bvxyi", turns, grid) + centers[:, :, None, None]
    return PictureInputs(
        pictures=[np.ascontiguousarray(picture) for picture in coarse[:, :height, :width]],
        # Laid out as a tracker's are: einsum leaves the axes in another order.
        nodes=nodes.astype(np.float32, order="C"),
        mirrored=np.arange(hands) % 2 == 1,
        projections=trial.projections,
        view_mask=trial.view_mask,
        noise=trial.noise,
        state=trial.state,
        state_valid=trial.state_valid,
    )


def in_one_mapping(steps: Sequence[PictureInputs]) -> tuple[list[PictureInputs], NDArray[np.uint8]]:
    """The same steps with pictures that lie as a camera's do, each from a page on in one mapping.

    Returns:
        The steps, and all bytes of the mapping, which can be locked.
    """
    pictures = [picture for step in steps for picture in step.pictures if picture is not None]
    ends = np.cumsum([-(-picture.size // mmap.PAGESIZE) * mmap.PAGESIZE for picture in pictures])
    memory = np.frombuffer(mmap.mmap(-1, int(ends[-1])), np.uint8)
    places = iter(zip([0, *ends[:-1].tolist()], pictures, strict=True))

    def moved(picture: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
        if picture is None:
            return None
        start, same = next(places)
        place = memory[start : start + same.size].reshape(same.shape)
        place[...] = same
        return place

    return [replace(step, pictures=[moved(picture) for picture in step.pictures]) for step in steps], memory
