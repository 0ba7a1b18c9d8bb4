"""How well and how fast rigs of known truth are calibrated.

Run as `python -m benchmarks.calibration_synthetic`. Cameras stand on a ring of 1 m, a board of 48 corners (40 mm
squares) is carried through its midst, corners are seen to 0.3 px.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from benchmarks._board_rigs import film, place_errors, ring_rig
from calibration.solving.solve import Wishes, solve_rig


def main() -> None:
    """Print one line a rig."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--noise", type=float, default=0.3, help="pixels")
    parser.add_argument("--outliers", type=float, nargs="+", default=[0.0, 0.05], help="shares of the corners")
    parser.add_argument("--lens", default="brown-conrady-5")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    print(
        "cameras frames outliers sights corners |  mm median worst |  deg median worst | held-out px  verdict | CPU s"
    )
    for count in given.cameras:
        for share in given.outliers:
            for seed in range(given.seeds):
                filmed = film(
                    ring_rig(count, given.lens), given.frames, noise_px=given.noise, outliers=share, seed=seed
                )
                began = time.process_time()
                solved = solve_rig(filmed.sights, Wishes(model=given.model))
                took = time.process_time() - began
                mm, deg = place_errors(solved.cameras, filmed.cameras)
                corners = sum(len(view.corner_ids) for view in filmed.sights.views)
                print(
                    f"{count:7} {given.frames:6} {share:8.2f} {len(filmed.sights.views):6} {corners:7} | "
                    f"{np.median(mm):10.3f} {mm.max():5.3f} | {np.median(deg):11.4f} {deg.max():.4f} | "
                    f"{solved.held_out.rms_px:11.3f} {solved.judgement.verdict:>8} | {took:5.1f}"
                    f"  {sorted({lens.name for lens in solved.lenses.values()})}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
