"""MediaPipe Hands in a Python of its own: it needs numpy 1 and an OpenCV that the project does not have."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from capture.rig_config import FileSource, RigConfig
from training.leave_one_out import Keypoints

_WORKER = Path(__file__).with_name("_mediapipe_worker.py")
_TIMEOUT_S = 1800

Mode = Literal["sequential", "threads"]


class MediaPipeError(Exception):
    """MediaPipe cannot be run; the text says why."""


@dataclass(frozen=True, eq=False, slots=True)
class PeerView:
    """One hand that MediaPipe saw in one view.

    Args:
        side: The hand's side, in a picture that is not mirrored.
        score: How sure of the side it is.
        keypoints_px: `(21, 2)`, distorted pixels.
    """

    side: str
    score: float
    keypoints_px: Keypoints


@dataclass(frozen=True, eq=False, slots=True)
class PeerHand:
    """One triangulated hand.

    Args:
        side: Its side, which is also what joined its views.
        views: The views that saw it.
        joints_world: `(21, 3)`, metres.
    """

    side: str
    views: tuple[int, ...]
    joints_world: NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class PeerRun:
    """MediaPipe's answers on a recording.

    Args:
        times_ms: From one answer to the next, without the warm-up.
        seen: For each frame set, for each view, what was seen.
        hands: For each frame set, the hands.
        without: For each frame set, for each view, the hands triangulated without that view.
        versions: What ran.
    """

    times_ms: NDArray[np.float64]
    seen: list[list[list[PeerView]]]
    hands: list[list[PeerHand]]
    without: list[list[list[PeerHand]]]
    versions: dict[str, str]

    @property
    def keypoints(self) -> list[list[list[Keypoints]]]:
        """Only the joints of what was seen."""
        return [[[hand.keypoints_px for hand in view] for view in views] for views in self.seen]

    @property
    def rate_hz(self) -> float:
        """Frame sets a second."""
        return 1e3 * len(self.times_ms) / float(self.times_ms.sum())


def run_mediapipe(
    python: str, config: RigConfig, rig: Rig, frames: list[tuple[int | None, ...]], mode: Mode, warm_up: int = 10
) -> PeerRun:
    """Run MediaPipe over the same frame sets of the same videos.

    Args:
        python: The interpreter that has `mediapipe`.
        config: The sources, all of them video files.
        rig: Their calibration.
        frames: For each frame set, the index of each view's frame; None where it is missing.
        mode: One view after the other, or one thread a view.
        warm_up: Frame sets that are not timed.

    Raises:
        MediaPipeError: If it cannot be run.
    """
    job = {
        "mode": mode,
        "warm_up": warm_up,
        "frame_sets": frames,
        "cameras": [
            {
                "video": str(_video(camera.source)),
                "K": calibrated.K.tolist(),
                "distortion": calibrated.distortion.tolist(),
                "model": calibrated.model,
                "T_camera_world": calibrated.T_camera_world.tolist(),
            }
            for camera, calibrated in zip(config.cameras, rig, strict=True)
        ],
    }
    with tempfile.TemporaryDirectory(prefix="usthand-mediapipe-") as folder:
        asked, answered = Path(folder) / "job.json", Path(folder) / "result.json"
        asked.write_text(json.dumps(job), encoding="utf-8")
        try:
            done = subprocess.run(
                [python, str(_WORKER), str(asked), str(answered)], capture_output=True, text=True, timeout=_TIMEOUT_S
            )
        except OSError as error:
            raise MediaPipeError(f"{python}: {error.strerror}; see benchmarks/README.md for how to make it") from error
        if done.returncode:
            raise MediaPipeError(f"MediaPipe ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return _read(json.loads(answered.read_text(encoding="utf-8")))


def _video(source: object) -> Path:
    if not isinstance(source, FileSource):
        raise MediaPipeError("MediaPipe is compared on video files; give a rig whose sources are of type file")
    return source.path.resolve()


def _read(result: dict[str, Any]) -> PeerRun:
    def hands(entries: list[dict[str, Any]]) -> list[PeerHand]:
        return [PeerHand(e["side"], tuple(e["views"]), np.array(e["joints_world"])) for e in entries]

    def views(entries: list[list[dict[str, Any]]]) -> list[list[PeerView]]:
        return [[PeerView(e["side"], e["score"], np.array(e["keypoints_px"])) for e in view] for view in entries]

    return PeerRun(
        np.array(result["times_ms"], dtype=np.float64),
        [views(entries) for entries in result["seen"]],
        [hands(entries) for entries in result["hands"]],
        [[hands(view) for view in entries] for entries in result["without"]],
        {str(name): str(version) for name, version in result["versions"].items()},
    )
