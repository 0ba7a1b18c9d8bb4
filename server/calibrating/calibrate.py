"""From a rig's footage of a board to its calibration: reading, choosing, solving, placing the world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration import Camera, Rig
from calibration.boards import Board
from calibration.solving.solve import Sights, Solved, Wishes, solve_rig, stillest_instant
from calibration.solving.world import place_world
from capture.rig_config import RigConfig
from server.calibrating.detections import fingerprint, load_detections, save_detections
from server.calibrating.footage import Footage, read_footage
from server.calibrating.motion import moving_views
from server.calibrating.report import Findings
from server.calibrating.selection import choose_instants


def find_board(
    config: RigConfig,
    board: Board,
    folder: Path | None,
    advance: Callable[[str], None] = lambda _: None,
    every: int = 1,
) -> Footage:
    """Look for a board in a rig's footage, or read what an earlier look found.

    Args:
        config: The rig.
        board: The board.
        folder: A report folder that keeps detections; None keeps none.
        advance: Told about each frame set.
        every: Look at one frame set in so many.

    Raises:
        CaptureError: If the footage cannot be read.
        CalibrationError: If a camera never saw the board.
    """
    if folder is None:
        return read_footage(config, board, advance, every)
    key = fingerprint(config, board, every)
    footage = load_detections(key, folder)
    if footage is None:
        footage = read_footage(config, board, advance, every)
        folder.mkdir(parents=True, exist_ok=True)
        save_detections(footage, key, folder)
    return footage


def sights_of(footage: Footage, board: Board, wanted: int | None = None) -> Sights:
    """Return what there is to solve from: of many frame sets those that differ most, and the one that is wanted."""
    views = moving_views(footage)
    chosen = choose_instants(views, footage.sizes) | {wanted}
    kept = tuple(view for view in views if view.instant in chosen)
    return Sights(board.points_board, board_edges(board), footage.sizes, kept)


def board_edges(board: Board) -> NDArray[np.int64]:
    """Return the pairs of neighbouring corners `(E, 2)` on all sides of a board."""
    return np.vstack([board.pattern.edges + board.first_corner(side) for side in range(board.sides)])


def calibrate(
    board: Board,
    footage: Footage,
    wishes: Wishes,
    world: str = "first-camera",
    world_frame: int | None = None,
    lenses: Sequence[Camera] | None = None,
    name: str = "",
) -> Findings:
    """Solve a rig from what was seen of a board.

    Args:
        board: The board.
        footage: What was seen.
        wishes: How to solve.
        world: `first-camera`, a camera's id, `board` or `floor`.
        world_frame: The frame set that `board` and `floor` mean; None takes the stillest that most cameras saw.
        lenses: Cameras whose lenses are known; None solves them too.
        name: The rig's name.

    Raises:
        CalibrationError: If the sights do not suffice, or there is no such world.
    """
    sights = sights_of(footage, board, world_frame)
    solved: Solved = solve_rig(sights, wishes, lenses)
    posed = [view for view in sights.views if view.instant in solved.T_world_board]
    instant = stillest_instant(posed) if world_frame is None else world_frame
    cameras = place_world(solved.cameras, world, solved.T_world_board, instant)
    said = f"{world} at frame set {instant}" if world in ("board", "floor") else world
    chosen = len({view.instant for view in sights.views})
    return Findings(board, footage, chosen, solved, Rig(cameras, name), said)
