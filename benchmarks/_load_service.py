"""A service whose cameras and engine are made up, so that only the stream is under load: one process of its own."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping, Sequence

import numpy as np

from calibration import Rig
from capture.frames import Frame, FrameSet
from engine.hand_model import HandModel, Side
from engine.hand_model.rotations import quaternion_from_matrix
from engine.synthetic.rigs import make_rig
from engine.synthetic.scene import HandScene
from engine.types import EngineCard, HandPose
from server.access import Access
from server.dialects.xr_rest import MANO_OF_CANONICAL
from server.outputs import Outputs
from server.pipeline import CameraStatus
from server.service import Service, ServiceSettings

VIEWS = 4
POSES = 240


class SteadySession:
    """Gives an empty frame set at a steady rate.

    Args:
        rig: The cameras that are made up.
        rate_hz: Frame sets a second.
    """

    finished = False

    def __init__(self, rig: Rig, rate_hz: float) -> None:
        self._rig = rig
        self._period_s = 1.0 / rate_hz
        self._due_s = 0.0
        self._given = 0
        self._image = np.zeros((1, 1, 3), np.uint8)
        self._wait = threading.Event()

    @property
    def drops(self) -> Mapping[str, int]:
        """None."""
        return {}

    def start(self) -> None:
        """Begin now."""
        self._due_s = time.monotonic()

    def next(self, timeout_s: float) -> FrameSet | None:
        """Return the next frame set when it is due; those that nobody asked for in time are left out."""
        now_s = time.monotonic()
        self._due_s = max(self._due_s + self._period_s, now_s)
        if self._wait.wait(min(self._due_s - now_s, timeout_s)):
            return None
        self._given += 1
        now_ns = time.monotonic_ns()
        frames = tuple(Frame(camera.id, self._given, now_ns, now_ns, self._image) for camera in self._rig)
        return FrameSet(self._given, frames, 0.0, lambda: None)

    def states(self) -> Sequence[CameraStatus]:
        """None."""
        return ()

    def stop(self, timeout_s: float = 5.0) -> None:  # noqa: ARG002 - the protocol's signature
        """Give no more."""
        self._wait.set()


class RehearsedEngine:
    """Answers with hands of the synthetic scene, worked out beforehand.

    Args:
        rig: The cameras that are made up.
        hands: One or two.
    """

    card = EngineCard("rehearsed", "detector", "none", "open-hand", "Plays hands that were worked out beforehand.")
    stages_s: Mapping[str, float] = {}

    def __init__(self, rig: Rig, hands: int) -> None:
        self._answers = rehearse(rig, hands)
        self._models = {side: HandModel.load(side=side) for side in ("left", "right")}

    def hand_model(self, side: Side) -> HandModel:
        """The embedded one."""
        return self._models[side]

    def process(self, frame_set: FrameSet, rig: Rig) -> tuple[HandPose, ...]:  # noqa: ARG002 - nothing is seen
        """Give the next answer."""
        # There and back again, so that hands never jump.
        place = frame_set.id % (2 * POSES - 2)
        return self._answers[min(place, 2 * POSES - 2 - place)]

    def reset(self) -> None:
        """Nothing to forget."""

    def close(self) -> None:
        """Nothing to give back."""


def rehearse(rig: Rig, hands: int) -> list[tuple[HandPose, ...]]:
    """Work out hands of a few seconds."""
    scene = HandScene(hands=2 if hands == 2 else 1, seed=7, rate_hz=60.0)
    views = len(rig)
    return [
        tuple(
            HandPose(
                id=number,
                side=truth.side,
                confidence=0.95,
                joints_world=truth.joints_world,
                covariance_mm2=np.tile(20.0 * np.eye(3), (21, 1, 1)),
                pose=truth.pose,
                shape=truth.shape,
                translation=truth.translation,
                orientations_xyzw=quaternion_from_matrix(truth.posed.rotations)[MANO_OF_CANONICAL],
                posed=truth.posed,
                view_confidence=np.ones((views, 21)),
                view_weight=np.ones(views),
                reprojection_px=np.full(views, 1.234),
                keypoints_px=np.full((views, 21, 2), np.nan),
            )
            for number, truth in enumerate(scene.truth(index))
        )
        for index in range(POSES)
    ]


def main() -> None:
    """Serve: PORT RATE_HZ HANDS."""
    port, rate_hz, hands = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    rig = make_rig(VIEWS, 7)
    Service(
        ServiceSettings("127.0.0.1", port, Access(), Outputs(up="+z")),
        open_session=lambda: SteadySession(rig, rate_hz),
        open_engine=lambda: RehearsedEngine(rig, hands),
        rig=rig,
        announce=lambda url: print(url, flush=True),
    ).run()


if __name__ == "__main__":
    main()
