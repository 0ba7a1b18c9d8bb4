"""Cameras as people see them: how they stream, and whether their calibration still fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from calibration.drift import Verdict
from server.drift.policy import Consequence, Policy
from server.pipeline import CameraStatus

_STREAMING = "streaming"


@dataclass(frozen=True, slots=True)
class DriftStatus:
    """What the monitor says now, and what follows from it.

    Args:
        policy: What is done about it.
        verdicts: By camera id; none where the monitor is off.
        consequence: What is done.
    """

    policy: Policy
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    consequence: Consequence = field(default_factory=Consequence)

    @property
    def state(self) -> str:
        """The state of the calibration as a whole."""
        states = {verdict.state for verdict in self.verdicts.values()}
        if not states:
            return "not watched"
        for worst in ("miscalibrated", "suspect", "out of step", "fits", "watching"):
            if worst in states:
                return worst
        return "trusted"

    def details(self, camera_id: str) -> dict[str, Any] | None:
        """Say one camera's verdict in JSON's terms; None where the monitor is off."""
        verdict = self.verdicts.get(camera_id)
        if verdict is None:
            return None
        return {
            "state": verdict.state,
            "cause": verdict.cause or None,
            "turned_deg": _rounded(verdict.turned_deg, 3),
            "moved_mm": _rounded(verdict.moved_mm, 1),
            "picture_turned_deg": _rounded(verdict.picture_turned_deg, 3),
            "late_ms": _rounded(verdict.late_ms, 1),
            "masked": camera_id in self.consequence.masked,
        }


@dataclass(frozen=True, slots=True)
class WatchedCamera:
    """A camera's status with the monitor's say in it; see `server.pipeline.CameraStatus`."""

    id: str
    state: str
    message: str
    fps: float
    frames: int
    drops: Mapping[str, int]
    width: int
    height: int
    warnings: Sequence[str]


def watched_cameras(cameras: Sequence[CameraStatus], drift: DriftStatus) -> tuple[WatchedCamera, ...]:
    """Join how cameras stream with what the monitor says: a camera that streams but does not fit is in that state."""
    return tuple(_watched(camera, drift) for camera in cameras)


def _watched(camera: CameraStatus, drift: DriftStatus) -> WatchedCamera:
    verdict = drift.verdicts.get(camera.id)
    state, message, warnings = camera.state, camera.message, tuple(camera.warnings)
    if verdict is not None and verdict.blamed and camera.state == _STREAMING:
        used = "left out" if camera.id in drift.consequence.masked else "still used, so results are suspect"
        state, message = verdict.state, f"{used}: {verdict.message}"
    elif verdict is not None and verdict.state == "out of step":
        warnings = (*warnings, verdict.message)
    return WatchedCamera(
        id=camera.id,
        state=state,
        message=message,
        fps=camera.fps,
        frames=camera.frames,
        drops=camera.drops,
        width=camera.width,
        height=camera.height,
        warnings=warnings,
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
