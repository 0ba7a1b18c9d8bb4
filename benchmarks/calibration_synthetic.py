"""How well and how fast rigs of known truth are calibrated.

Run as `python -m benchmarks.calibration_synthetic`. Cameras stand on a ring of 1 m, a board with squares of 40 mm is
carried through its midst, corners are seen to 0.3 px. `expected` is what the solver's own covariance says of the worst
camera: where errors are of that size, it is the corners that do not tell more. With `--outliers`, a share of the
corners is anywhere within 60 px; `moved` is by how much that changes the calibration.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from benchmarks._board_rigs import BOARDS, expected_place_errors, film, place_errors, ring_rig
from calibration import Camera
from calibration.solving.solve import Wishes, solve_rig

_HEADER = (
    "cameras board seed outliers sights corners |   mm median  worst expected moved |  deg median  worst expected "
    " moved | held-out px verdict | CPU s"
)


def main() -> None:
    """Print one line a rig."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--board", choices=BOARDS, default="a2", help="the paper that the board is printed on")
    parser.add_argument("--noise", type=float, default=0.3, help="pixels")
    parser.add_argument("--outliers", type=float, nargs="+", default=[0.0, 0.05], help="shares of the corners")
    parser.add_argument("--lens", default="brown-conrady-5")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    print(_HEADER)
    for count in given.cameras:
        rig = ring_rig(count, given.lens)
        for seed in range(given.seeds):
            clean: tuple[Camera, ...] | None = None
            for share in given.outliers:
                filmed = film(rig, given.frames, BOARDS[given.board], noise_px=given.noise, outliers=share, seed=seed)
                began = time.process_time()
                solved = solve_rig(filmed.sights, Wishes(model=given.model))
                took_s = time.process_time() - began
                clean = solved.cameras if clean is None else clean
                (mm, deg), (likely_mm, likely_deg) = place_errors(solved.cameras, rig), expected_place_errors(solved)
                moved_mm, moved_deg = place_errors(solved.cameras, clean)
                corners = sum(len(view.corner_ids) for view in filmed.sights.views)
                print(
                    f"{count:7} {given.board:>5} {seed:4} {share:8.2f} {len(filmed.sights.views):6} {corners:7} | "
                    f"{np.median(mm):11.3f} {mm.max():6.3f} {likely_mm.max():8.3f} {moved_mm.max():5.3f} | "
                    f"{np.median(deg):11.4f} {deg.max():.4f} {likely_deg.max():8.4f} {moved_deg.max():.4f} | "
                    f"{solved.held_out.rms_px:11.3f} {solved.judgement.verdict:>7} | {took_s:5.1f}"
                    f"  {sorted({lens.name for lens in solved.lenses.values()})}",
                    flush=True,
                )
                for reason in solved.judgement.reasons:
                    print(f"          {reason}")


if __name__ == "__main__":
    main()
