"""Pictures of how training goes: crops with their labels and what the method says."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from engine.hand_model.model import PARENTS_21
from engine.network.triangulation import project
from training.methods import Method
from training.samples import Window, collate

_LABEL_RGB: Final = (60, 220, 90)
_ANSWER_RGB: Final = (250, 70, 60)


def overlay(method: Method, windows: list[Window], seed: int = 0) -> NDArray[np.uint8]:
    """Draw the last frame of windows, one row each, one column a view: labels green, the answer's joints red.

    Args:
        method: Whose answer.
        windows: At least one, of equal sizes.
        seed: Of the method's chance.

    Returns:
        RGB picture `(rows S, columns S, 3)`.
    """
    batch = collate(windows)
    answer = method.predict(batch, torch.Generator().manual_seed(seed))
    places, _ = project(batch.projections[:, -1], answer.joints[:, -1])
    answers = places.cpu().numpy()
    rows = []
    for number, window in enumerate(windows):
        tiles = []
        for view in range(batch.view_mask.shape[2]):
            tile = batch.crops[number, -1, view].numpy().copy()
            if view < window.views and window.view_mask[-1, view]:
                believed = window.label_confidence[-1, view] > 0
                draw_hand(tile, window.labels[-1, view], _LABEL_RGB, believed)
                draw_hand(tile, answers[number, view], _ANSWER_RGB)
            tiles.append(tile)
        rows.append(np.concatenate(tiles, axis=1))
    return np.concatenate(rows)


def draw_hand(
    picture: NDArray[np.uint8],
    joints: NDArray[np.floating],
    colour: tuple[int, int, int],
    shown: NDArray[np.bool_] | None = None,
) -> None:
    """Draw 21 joints `(21, 2)`, crop coordinates, as bones into a picture `(S, S, 3)`, those `shown` only."""
    side = picture.shape[0]
    # A method that went astray may say anything.
    drawn = np.isfinite(joints).all(axis=-1) if shown is None else shown
    at = np.clip((np.nan_to_num(joints) + 1.0) * (side / 2) - 0.5, -side, 2 * side).round().astype(int)
    for second in range(1, len(at)):
        first = PARENTS_21[second]
        if drawn[first] and drawn[second]:
            cv2.line(picture, tuple(map(int, at[first])), tuple(map(int, at[second])), colour, 1, cv2.LINE_AA)
