"""Alive, ready, and metrics: what a supervisor asks."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from server.parts import Running
from server.pipeline import RUNNING

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that the service is alive. Never asks for a token."""
    # In the event loop: threads that wait for a disk must not make a service look dead that answers hands.
    return {"status": "ok"}


@router.get("/readyz", response_model=None)
def readyz(parts: Running) -> JSONResponse:
    """Say whether frame sets are answered, and name the state of each part; 503 while not. Never asks for a token."""
    state = parts.pipeline.state
    name, _, message = state.partition(": ")
    ready = state == RUNNING
    content: dict[str, Any] = {
        "ready": ready,
        "cameras": {
            camera.id: {
                "state": camera.state,
                "message": camera.message,
                "masked": camera.id in parts.pipeline.masked,
            }
            for camera in parts.cameras()
        },
        "engine": {"state": name, "message": message},
        "calibration": {"id": parts.pipeline.rig.id, "fit": parts.drift.status.state},
    }
    return JSONResponse(content, status_code=200 if ready else 503)


@router.get("/metrics", response_class=Response)
def metrics(parts: Running) -> Response:
    """Give Prometheus metrics in text form."""
    return Response(generate_latest(parts.metrics), media_type=CONTENT_TYPE_LATEST)
