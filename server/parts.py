"""The running parts that the routes share, held by the application's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry

from server.broadcaster import Broadcaster
from server.calibration_service import CalibrationService
from server.dialects import Up
from server.drift.status import WatchedCamera, watched_cameras
from server.drift.watch import DriftWatch
from server.models import Models
from server.pipeline import Pipeline
from server.previews import Previews
from server.rig_marks import HandCoverage


@dataclass(frozen=True, eq=False, slots=True)
class Parts:
    """What runs.

    Args:
        pipeline: Cameras and engine.
        broadcaster: The clients of the stream.
        previews: Pictures.
        calibration: The running calibration and its versions.
        models: Which models may run.
        drift: Whether the calibration still fits.
        metrics: What is scraped.
        hand_coverage: Where in the pictures hands were seen.
        up: Which axis of the calibration's world points up, where nobody says.
    """

    pipeline: Pipeline
    broadcaster: Broadcaster
    previews: Previews
    calibration: CalibrationService
    models: Models
    drift: DriftWatch
    metrics: CollectorRegistry
    hand_coverage: HandCoverage
    up: Up

    def cameras(self) -> tuple[WatchedCamera, ...]:
        """How each camera is: how it streams, and whether its calibration still fits."""
        return watched_cameras(self.pipeline.session.states(), self.drift.status)


def parts_of(request: Request) -> Parts:
    """Find the parts of the application that a request came to."""
    parts: Parts = request.app.state.parts
    return parts


Running = Annotated[Parts, Depends(parts_of)]
"""Gives a route the running parts."""
