"""What prediction is worth: how far joints are from where they will be, with it and without.

    python -m benchmarks.prediction
    python -m benchmarks.prediction --seconds 40 --seeds 1 2 3 --no-rendered --json

A hand of the synthetic scene is seen 30 times a second. Each answer is compared with the truth so long after its
exposure as a client may ask for: as it is (`none`), moved by `predict_ms` (`hand`: wrist and turns of the joints), and
with each joint moved for itself (`joints`). `exact` answers are the truth itself, so that all error is prediction's;
`rendered` ones are the default engine's, of rendered pictures, whose own error does not go away.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks._footage import print_table
from calibration import Rig
from capture.frames import Frame, FrameSet
from engine.factory import open_engine
from engine.hand_model.rotations import quaternion_from_matrix
from engine.synthetic.rigs import make_rig
from engine.synthetic.scene import HandScene, HandTruth
from engine.types import HandPose
from server.dialects.xr_rest import MANO_OF_CANONICAL
from server.motion import MotionHistory, TrackMotion
from server.solved import Solved

RATE_HZ: Final = 30
HORIZONS_MS: Final = (0, 10, 20, 33, 50, 100)
METHODS: Final = ("none", "hand", "joints")

_START_NS: Final = 10**9
_WARM_UP: Final = 5
_FADING_S: Final = 0.2
_VIEWS: Final = 3


@dataclass(frozen=True, slots=True)
class Error:
    """How far joints were from the truth.

    Args:
        answers: What the answers were: exact or rendered.
        horizon_ms: How long after the exposure.
        method: How they were predicted.
        joints: How many joints were compared.
        mean_mm: Mean distance.
        p95_mm: 95th percentile.
    """

    answers: str
    horizon_ms: int
    method: str
    joints: int
    mean_mm: float
    p95_mm: float


class Clockwork:
    """A scene that can be looked at between its frames: the same motion, a thousand times a second.

    Args:
        seed: Of the motion.
    """

    def __init__(self, seed: int) -> None:
        self.scene = HandScene(hands=1, seed=seed, rate_hz=float(RATE_HZ))
        self._fine = HandScene(hands=1, seed=seed, rate_hz=1000.0 * RATE_HZ)

    def truth(self, number: int, later_ms: int = 0) -> HandTruth:
        """The hand of a frame, or so long after it."""
        (truth,) = self._fine.truth(1000 * number + RATE_HZ * later_ms)
        return truth


def exact_answers(clockwork: Clockwork, rig: Rig, count: int) -> Iterator[Solved]:
    """Answers that are the truth."""
    for number in range(count):
        truth = clockwork.truth(number)
        hand = HandPose(
            id=1,
            side=truth.side,
            confidence=1.0,
            joints_world=truth.joints_world,
            covariance_mm2=np.tile(np.eye(3), (21, 1, 1)),
            pose=truth.pose,
            shape=truth.shape,
            translation=truth.translation,
            orientations_xyzw=quaternion_from_matrix(truth.posed.rotations)[MANO_OF_CANONICAL],
            posed=truth.posed,
            view_confidence=np.ones((len(rig), 21)),
            view_weight=np.ones(len(rig)),
            reprojection_px=np.zeros(len(rig)),
            keypoints_px=np.full((len(rig), 21, 2), np.nan),
        )
        yield _solved(_frame_set(number, rig, [np.zeros((1, 1, 3), np.uint8)] * len(rig)), rig, (hand,))


def rendered_answers(clockwork: Clockwork, rig: Rig, count: int) -> Iterator[Solved]:
    """Answers of the default engine, which sees rendered pictures."""
    engine = open_engine()
    try:
        for number in range(count):
            frame_set = _frame_set(number, rig, [clockwork.scene.render(camera, number) for camera in rig])
            yield _solved(frame_set, rig, engine.process(frame_set, rig))
    finally:
        engine.close()


def _frame_set(number: int, rig: Rig, images: list[NDArray[np.uint8]]) -> FrameSet:
    at_ns = _START_NS + round(number * 1e9 / RATE_HZ)
    frames = tuple(Frame(camera.id, number, at_ns, at_ns, image) for camera, image in zip(rig, images, strict=True))
    return FrameSet(number, frames, 0.0, lambda: None)


def _solved(frame_set: FrameSet, rig: Rig, hands: tuple[HandPose, ...]) -> Solved:
    return Solved(frame_set, rig, hands, frame_set.timestamp_ns, frame_set.id, "rehearsed")


def predicted_joints(motion: TrackMotion, horizon_s: float) -> Mapping[str, NDArray[np.float64]]:
    """The joints `(21, 3)` of the newest answer, moved by each method."""
    now = motion.sightings[-1].hand.joints_world
    reach_s = _FADING_S * -np.expm1(-horizon_s / _FADING_S)
    return {
        "none": now,
        "hand": motion.predicted(horizon_s).joints_world,
        "joints": now + reach_s * motion.joint_velocity(),
    }


def measure(answers: Iterable[Solved], clockwork: Clockwork) -> dict[tuple[int, str], list[NDArray[np.float64]]]:
    """Compare each answer of a track that is known for a while with the truth to come: distances `(21,)`, metres."""
    history, distances = MotionHistory(), {(ms, method): [] for ms in HORIZONS_MS for method in METHODS}
    seen: dict[int, int] = {}
    for solved in answers:
        for track, motion in history.add(solved).items():
            seen[track] = seen.get(track, 0) + 1
            if seen[track] <= _WARM_UP:
                continue
            for ms in HORIZONS_MS:
                truth = clockwork.truth(solved.sequence, ms).joints_world
                for method, joints in predicted_joints(motion, ms * 1e-3).items():
                    distances[ms, method].append(np.linalg.norm(joints - truth, axis=1))
    return distances


def run(seeds: list[int], seconds: float, *, rendered: bool) -> list[Error]:
    """Measure all seeds together."""
    count = round(seconds * RATE_HZ)
    sources = {"exact": exact_answers} | ({"rendered": rendered_answers} if rendered else {})
    errors = []
    for name, source in sources.items():
        total: dict[tuple[int, str], list[NDArray[np.float64]]] = {}
        for seed in seeds:
            clockwork = Clockwork(seed)
            for key, distances in measure(source(clockwork, make_rig(_VIEWS, seed), count), clockwork).items():
                total.setdefault(key, []).extend(distances)
        for (ms, method), distances in total.items():
            values_mm = 1e3 * np.concatenate(distances) if distances else np.full(1, np.nan)
            errors.append(
                Error(name, ms, method, len(values_mm), float(values_mm.mean()), float(np.percentile(values_mm, 95)))
            )
    return errors


def show(errors: list[Error]) -> None:
    """Print one table a kind of answers."""
    for name in dict.fromkeys(error.answers for error in errors):
        rows = []
        for ms in HORIZONS_MS:
            of = {error.method: error for error in errors if (error.answers, error.horizon_ms) == (name, ms)}
            rows.append([f"{ms}", *(f"{of[method].mean_mm:.2f} ({of[method].p95_mm:.1f})" for method in METHODS)])
        print_table(
            f"{name} answers, {RATE_HZ} Hz: mean (p95) error of joints, mm", ["ms after exposure", *METHODS], rows
        )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prediction", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=20, help="of motion for each seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the motions")
    parser.add_argument("--no-rendered", dest="rendered", action="store_false", help="exact answers only")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    errors = run(arguments.seeds, arguments.seconds, rendered=arguments.rendered)
    if arguments.json:
        print(json.dumps([asdict(error) for error in errors]))
    else:
        show(errors)


if __name__ == "__main__":
    main()
