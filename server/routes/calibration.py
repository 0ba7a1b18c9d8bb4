"""The calibration: read, replace, go back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import JSONResponse

from calibration import CalibrationError
from calibration.files import FILE_FORMATS, calibration_to_dict
from calibration.units import parse_size
from server.calibration_judge import SuspicionError
from server.calibration_service import SwapTimeoutError, judgement_map, version_map
from server.parts import Running
from server.rig_marks import marks_map

router = APIRouter(tags=["calibration"])


@router.get("/calibration")
def calibration(parts: Running) -> dict[str, Any]:
    """Give the running calibration as `calibration.json`, with its id."""
    rig = parts.pipeline.rig
    return {"id": rig.id, **calibration_to_dict(rig)}


@router.put(
    "/calibration",
    response_model=None,
    openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": {}}}},
    responses={413: {"description": "Too large."}, 422: {"description": "Refused, with reasons per camera."}},
)
async def put_calibration(
    request: Request,
    parts: Running,
    dry_run: Annotated[bool, Query(description="Judge only; the running calibration stays.")] = False,
    format: Annotated[
        str, Query(description="Format of the upload.", max_length=40, json_schema_extra={"enum": list(FILE_FORMATS)})
    ] = "usthand",
    units: Annotated[
        str | None,
        Query(
            description="Unit of length, for formats that do not state it: m, cm, mm, in, or metres per unit.",
            max_length=16,
        ),
    ] = None,
    size: Annotated[
        str | None,
        Query(description="Image size, WIDTHxHEIGHT in pixels, for formats that do not state it.", max_length=11),
    ] = None,
    ignore_unknown: Annotated[bool, Query(description="Leave out cameras that do not run.")] = False,
    force: Annotated[
        bool, Query(description="Use it although it looks like a mistake of unit or direction; see `suspicions`.")
    ] = False,
) -> JSONResponse:
    """Replace the calibration between two frame sets. A refused upload leaves the running one alone."""
    data = await request.body()
    try:
        upload = await parts.calibration.upload(
            data,
            format=format,
            units=units,
            size=parse_size(size),
            dry_run=dry_run,
            ignore_unknown=ignore_unknown,
            force=force,
        )
    except CalibrationError as error:
        refusal = {
            "accepted": False,
            "dry_run": dry_run,
            "forcible": isinstance(error, SuspicionError),
            "reasons": error.reasons,
            "detail": str(error),
        }
        return JSONResponse({**refusal, "running_calibration_id": parts.pipeline.rig.id}, status_code=422)
    except SwapTimeoutError as error:
        raise HTTPException(503, str(error)) from None
    return JSONResponse(
        {
            "accepted": True,
            "dry_run": dry_run,
            "version": upload.version.number if upload.version else None,
            **judgement_map(upload.judgement),
            "running_calibration_id": parts.pipeline.rig.id,
        }
    )


@router.get("/calibration/marks")
def marks(parts: Running) -> dict[str, Any]:
    """Give, for each camera, residuals of the newest hands in pixels, and where hands were seen.

    `residuals_px` are rows of x, y, dx, dy: from the projected joint to the view's own. `coverage` counts joints in
    cells of the picture, row by row; null before a hand was seen with this calibration.
    """
    return marks_map(parts.pipeline.latest, parts.hand_coverage, parts.pipeline.rig)


@router.get("/calibration/history")
async def history(parts: Running) -> dict[str, Any]:
    """List the versions since the service started, oldest first."""
    kept = parts.calibration.history
    return {"versions": [version_map(version, running=version is kept.running) for version in kept.versions]}


@router.post("/calibration/rollback")
async def rollback(
    parts: Running,
    version: Annotated[int | None, Query(description="Which one; the one before the running one by default.")] = None,
) -> dict[str, Any]:
    """Go back to an older version, between two frame sets."""
    try:
        now = await parts.calibration.rollback(version)
    except KeyError as error:
        raise HTTPException(409 if version is None else 404, str(error.args[0])) from None
    except SwapTimeoutError as error:
        raise HTTPException(503, str(error)) from None
    return version_map(now, running=True)
