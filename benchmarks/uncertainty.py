"""How honest the detector engine's covariances are: `python -m benchmarks.uncertainty`.

On rendered hands, whose joints are known, the engine's error is compared with the covariance that it states: the share
of joints inside the 50, 90 and 99 % ellipsoids. `engine.detector.track.LANDMARK_BIAS_M` was set from one half of the
scenes; the other half was held out.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from capture.frames import Frame, FrameSet
from engine.factory import open_engine
from engine.synthetic.rigs import make_rig
from engine.synthetic.scene import HandScene

_RATE_HZ = 5.0
_CHI2_3 = {50: 2.366, 90: 6.251, 99: 11.345}


def errors(seed: int, views: int, frames: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Errors `(N, 21, 3)` in mm and stated covariances `(N, 21, 3, 3)` in mm^2 of one rendered hand."""
    rig = make_rig(views, seed)
    scene = HandScene(hands=1, seed=seed, rate_hz=_RATE_HZ, side="left" if seed % 2 else "right")
    engine = open_engine(max_hands=1)
    found, stated = [], []
    for index in range(frames):
        now_ns = int(index / _RATE_HZ * 1e9)
        pictures = tuple(Frame(camera.id, index, now_ns, now_ns, scene.render(camera, index)) for camera in rig)
        (truth,) = scene.truth(index)
        for hand in engine.process(FrameSet(index, pictures, 0.0), rig):
            found.append((hand.joints_world - truth.joints_world) * 1e3)
            stated.append(hand.covariance_mm2)
    engine.close()
    return np.array(found).reshape(-1, 21, 3), np.array(stated).reshape(-1, 21, 3, 3)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=6, help="scenes in each half")
    parser.add_argument("--frames", type=int, default=40, help="frames a scene")
    arguments = parser.parse_args()
    for views in (2, 4):
        for half, first in (("estimated on", 300), ("held out", 400)):
            runs = [errors(first + scene, views, arguments.frames) for scene in range(arguments.scenes)]
            error, covariance = (np.concatenate(parts) for parts in zip(*runs, strict=True))
            squared = np.einsum("nji,njik,njk->nj", error, np.linalg.inv(covariance), error)
            shares = {level: 100 * np.mean(squared <= limit) for level, limit in _CHI2_3.items()}
            inside = ", ".join(f"{level} %: {share:.1f}" for level, share in shares.items())
            length = np.linalg.norm(error, axis=2)
            print(f"{views} views, {half}: {len(error)} hands, error: mean {length.mean():.1f} mm, inside {inside}")
            print("  median error of each joint, mm:", np.round(np.median(length, axis=0), 1).tolist())


if __name__ == "__main__":
    main()
