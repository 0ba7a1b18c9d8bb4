"""The hands: the latest answer, the skeleton, and the stream's description."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Query, Response

from server.dialects import DIALECTS, Dialect, Up
from server.encoding import encode_json
from server.messages import hands_message, skeleton_map
from server.parts import Running
from server.stream_options import StreamOptionError, dialect_named, parse_fields

STALE_NS: Final = 1_000_000_000

router = APIRouter(tags=["hands"])

DialectName = Annotated[str, Query(description=f"How joints are said: {', '.join(DIALECTS)}.")]
UpAxis = Annotated[
    str | None,
    Query(description="Axis of the calibration's world that is up; for openxr, webxr, unity and unreal. %2B is +."),
]


@router.get("/hands/latest", response_class=Response)
def latest_hands(
    parts: Running,
    dialect: DialectName = "mano",
    up: UpAxis = None,
    fields: Annotated[
        str | None, Query(description="Some of joints,mano,vertices,covariance,stats; all but vertices by default.")
    ] = None,
) -> Response:
    """Give the newest `hands` message; hands are empty when none is seen, or when no frame set came for a second."""
    spoken = _dialect(dialect, up, parts.up)
    try:
        chosen = parse_fields(fields)
    except StreamOptionError as error:
        raise HTTPException(422, str(error)) from None
    solved = parts.pipeline.latest
    if solved is None:
        raise HTTPException(503, f"no frame set was answered yet; the engine is {parts.pipeline.state}")
    now_ns = time.monotonic_ns()
    if now_ns - solved.solved_ns > STALE_NS:
        solved = replace(solved, hands=())
    message = hands_message(solved, chosen, spoken, sent_ns=now_ns)
    return Response(encode_json(message), media_type="application/json", headers={"cache-control": "no-store"})


@router.get("/skeleton")
def skeleton(parts: Running, dialect: DialectName = "mano", up: UpAxis = None) -> dict[str, Any]:
    """Give joint names, parents, units and axes of a dialect, and the faces of the mesh."""
    spoken = _dialect(dialect, up, parts.up)
    engine = parts.pipeline.engine
    return {
        **skeleton_map(spoken, parts.pipeline.rig),
        "mesh": {
            "hand_model": engine.card.hand_model,
            "vertex_count": len(engine.hand_model("right").template_vertices),
            "faces": {
                "left": engine.hand_model("left").faces.tolist(),
                "right": engine.hand_model("right").faces.tolist(),
            },
        },
    }


def _dialect(name: str, up: str | None, default_up: Up) -> Dialect:
    try:
        return dialect_named(name, up, default_up)
    except StreamOptionError as error:
        raise HTTPException(422, str(error)) from None
