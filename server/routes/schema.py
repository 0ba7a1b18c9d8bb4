"""What the stream's messages look like, for programs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from server.asyncapi import asyncapi_document
from server.routes import STREAM_PATH
from server.stream_schema import stream_schema

router = APIRouter(prefix="/schema", tags=["schema"])


@router.get("/stream.json", response_model=None)
def stream() -> JSONResponse:
    """Give the JSON Schema of the stream's messages."""
    return JSONResponse(stream_schema(), media_type="application/schema+json")


@router.get("/asyncapi.json")
def asyncapi() -> dict[str, Any]:
    """Give the AsyncAPI document of the WebSocket stream."""
    return asyncapi_document(STREAM_PATH, "stream.json")
