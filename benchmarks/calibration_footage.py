"""`usthand calibrate` on room4's four videos, beside OpenCV's stereoCalibrate in pairs, on the same held-out sights.

Run `python -m benchmarks.calibration_footage`. OpenCV solves each lens with `calibrateCamera` and each pair with
`stereoCalibrate` (lenses fixed), and chains the pairs of least error; it gets the sights once as the timestamps have
them, and once moved to the cameras' own times as this project found them, so that what timing does is seen apart.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks._footage import print_table
from calibration import Camera, Rig
from calibration.boards import Board, parse_board
from calibration.observations import BoardView
from calibration.overview import baselines_m
from calibration.solving.judging import HeldOut, hold_out
from calibration.solving.solve import Wishes, held_out_instants
from capture.rig_config import load_rig, load_rig_config
from server.calibrating.calibrate import board_edges, calibrate, sights_of
from server.calibrating.footage import read_footage

RIG: Final = Path(__file__).resolve().parents[1] / "tests" / "rigs" / "room4.yaml"
BOARD: Final = "charuco:4x5:0.054:DICT_4X4_1000:inverted"
_FEWEST_SHARED = 6


def chained_pairs(
    cameras: Sequence[tuple[str, tuple[int, int]]],
    own: Sequence[BoardView],
    shared: Sequence[BoardView],
    points_board: NDArray[np.float64],
) -> tuple[Camera, ...]:
    """Calibrate as OpenCV's samples do.

    Args:
        cameras: Id and picture size of each.
        own: Sights to solve the lenses from.
        shared: Sights to solve the pairs from.
        points_board: The board.
    """
    lenses = {}
    for camera_id, size in cameras:
        views = [view for view in own if view.camera_id == camera_id]
        points = [points_board[view.corner_ids].astype(np.float32) for view in views]
        pixels = [view.corners_px.astype(np.float32)[:, None] for view in views]
        guess: Any = None
        _, K, distortion, _, _ = cv2.calibrateCamera(points, pixels, size, guess, guess)
        lenses[camera_id] = (K, np.ravel(distortion)[:5])
    pairs = []
    for (one, size), (other, _) in itertools.combinations(cameras, 2):
        points, pixels_one, pixels_other = [], [], []
        by_instant = {view.instant: view for view in shared if view.camera_id == one}
        for view in shared:
            if view.camera_id == other and view.instant in by_instant:
                partner = by_instant[view.instant]
                ids, at_one, at_other = np.intersect1d(partner.corner_ids, view.corner_ids, return_indices=True)
                if len(ids) >= _FEWEST_SHARED:
                    points.append(points_board[ids].astype(np.float32))
                    pixels_one.append(partner.corners_px[at_one].astype(np.float32)[:, None])
                    pixels_other.append(view.corners_px[at_other].astype(np.float32)[:, None])
        found = cv2.stereoCalibrate(
            points, pixels_one, pixels_other, *lenses[one], *lenses[other], size, flags=cv2.CALIB_FIX_INTRINSIC
        )
        T_other_one = np.eye(4)
        T_other_one[:3, :3], T_other_one[:3, 3] = found[5], np.ravel(found[6])
        pairs += [(found[0], one, other, T_other_one), (found[0], other, one, np.linalg.inv(T_other_one))]
    T_camera_world = {cameras[0][0]: np.eye(4)}
    while len(T_camera_world) < len(cameras):
        _, one, other, T_other_one = min(
            (pair for pair in pairs if pair[1] in T_camera_world and pair[2] not in T_camera_world),
            key=lambda pair: float(pair[0]),
        )
        T_camera_world[other] = T_other_one @ T_camera_world[one]
    return tuple(Camera(i, *size, *lenses[i], T_camera_world[i]) for i, size in cameras)


def row(name: str, cameras: Sequence[Camera], held: HeldOut, published: Rig) -> tuple[str, ...]:
    """Return a table row: errors, and how baselines differ from the published ones, percent."""
    pairs = np.triu_indices(len(published), 1)
    off = 100 * (baselines_m(Rig(tuple(cameras)))[pairs] / baselines_m(published)[pairs] - 1)
    return (
        name,
        str(len(held.views)),
        f"{held.rms_px:.3f}",
        f"{held.median_neighbour_mm:+.3f}",
        f"{held.spread_neighbour_mm:.3f}",
        " ".join(f"{value:+.2f}" for value in off),
    )


def main() -> None:
    """Calibrate, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rig", type=Path, default=RIG, help="a rig file with its published calibration")
    parser.add_argument("--board", default=BOARD, help="the board in its footage")
    arguments = parser.parse_args()
    config = load_rig_config(arguments.rig)
    published = load_rig(config)
    board: Board = parse_board(arguments.board)
    started_s = time.perf_counter()
    footage = read_footage(config, board)
    read_s = time.perf_counter() - started_s
    started_s = time.perf_counter()
    findings = calibrate(board, footage, Wishes())
    solved = findings.solved
    print(f"detection {read_s:.1f} s, solving {time.perf_counter() - started_s:.1f} s; {solved.judgement.verdict}")
    print("pictures are late by", ", ".join(f"{i}: {1e3 * late:.0f} ms" for i, late in solved.timing.late_s.items()))

    sights = sights_of(footage, board)
    held = held_out_instants((view.instant for view in sights.views), Wishes().hold_out)
    edges, cameras = board_edges(board), list(footage.sizes.items())
    own = [view.as_taken() for view in sights.views if view.instant not in held]
    judged_on = {(view.camera_id, view.instant) for view in solved.held_out.views}
    rows = []
    for timing, late_s in (("stamps", dict.fromkeys(footage.sizes, 0.0)), ("own times", solved.timing.late_s)):
        views = [view.at(late_s[view.camera_id]) for view in sights.views]
        train = [view for view in views if view.instant not in held]
        rest = [view for view in views if (view.camera_id, view.instant) in judged_on]
        pairs = chained_pairs(cameras, own, train, board.points_board)
        # The published cameras have the ids of the rig file.
        for name, rig in (("OpenCV, chained pairs", pairs), ("published", published.cameras)):
            rows.append(row(f"{name} ({timing})", rig, hold_out(rig, rest, board.points_board, edges), published))
    rows.append(row("usthand calibrate (own times)", solved.judged, solved.held_out, published))
    columns = ("calibration", "sights", "held out, px rms", "neighbours, mm", "a single one, mm", "baselines, % off")
    print_table("room4, held-out sights of the board", columns, rows)


if __name__ == "__main__":
    main()
