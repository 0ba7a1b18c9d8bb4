"""The engine: its model card, and how fast things go."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from server.encoding import plain
from server.parts import Parts, Running

router = APIRouter(tags=["engine"])


@router.get("/engine")
def engine(parts: Running) -> dict[str, Any]:
    """Give the card of the running model, its state, rate and latency."""
    return {**asdict(parts.pipeline.engine.card), "state": parts.pipeline.state, **_speed(parts)}


@router.get("/stats")
def stats(parts: Running) -> dict[str, Any]:
    """Give rate, latency from exposure to the answer, clients, drops by cause and engine errors by kind."""
    pipeline, clients = parts.pipeline, parts.broadcaster
    drops: dict[str, int] = {f"frame_sets_{cause}": count for cause, count in pipeline.session.drops.items()}
    for camera in pipeline.session.states():
        for cause, count in camera.drops.items():
            drops[cause] = drops.get(cause, 0) + count
    return {
        **_speed(parts),
        "clients": clients.client_count,
        "drops": drops | {"messages": clients.messages_dropped, "client_timeout": clients.client_timeouts},
        "frame_sets": pipeline.solved_count,
        "messages_sent": clients.messages_sent,
        "engine_errors": sum(pipeline.errors.values()),
        "engine_errors_by_kind": dict(pipeline.errors),
    }


def _speed(parts: Parts) -> dict[str, Any]:
    speed = parts.pipeline.stats()
    latency = {"p50": speed.latency_p50_ms, "p95": speed.latency_p95_ms}
    return {
        "rate_hz": plain(round(speed.rate_hz, 2)),
        "latency_ms": {name: None if ms is None else round(ms, 2) for name, ms in latency.items()},
    }
