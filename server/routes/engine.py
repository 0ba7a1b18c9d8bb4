"""The engine: its model card, and how fast things go."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from server.encoding import plain
from server.models import ModelRefusedError, ModelSwapBusyError, ModelSwapTimeoutError, UnknownModelError
from server.parts import Parts, Running

router = APIRouter(tags=["engine"])


class ChosenModel(BaseModel):
    """Which model to run."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(max_length=200, description="One of the names in `models`. Never a path.")]


@router.get("/engine")
def engine(parts: Running) -> dict[str, Any]:
    """Give the card of the running model, its state, rate and latency, and the models that may be chosen."""
    card = asdict(parts.pipeline.engine.card)
    return {**card, "state": parts.pipeline.state, **_speed(parts), "models": parts.models.names()}


@router.post(
    "/engine",
    responses={
        404: {"description": "There is no such model."},
        409: {"description": "Another change is under way."},
        422: {"description": "The model cannot run here, with the reason; the old one runs on."},
        503: {"description": "The engine did not take it up in time; the old one runs on."},
    },
)
async def choose(parts: Running, wanted: ChosenModel) -> dict[str, Any]:
    """Change the model between two frame sets: it is opened and tried beside the stream, which goes on meanwhile."""
    try:
        card = await asyncio.wrap_future(parts.models.choose(wanted.model))
    except UnknownModelError as error:
        raise HTTPException(404, str(error)) from None
    except ModelSwapBusyError as error:
        raise HTTPException(409, str(error)) from None
    except ModelRefusedError as error:
        raise HTTPException(422, str(error)) from None
    except ModelSwapTimeoutError as error:
        raise HTTPException(503, str(error)) from None
    return asdict(card)


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
