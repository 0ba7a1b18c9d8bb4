"""Live calibration: collect sights of a board from the running cameras, solve, take over."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from calibration import CalibrationError
from calibration.boards import BoardError
from calibration.solving.lenses import LensChoice
from server.calibration_service import SwapTimeoutError, judgement_map
from server.live_calibration.session import KEEP, LiveCalibration, NoSessionError, SessionError

router = APIRouter(prefix="/calibration/session", tags=["live calibration"])


class StartSession(BaseModel):
    """What to look for."""

    model_config = ConfigDict(extra="forbid")

    board: Annotated[
        str, Field(max_length=200, description="Its spec, such as charuco:4x5:0.054:DICT_4X4_1000:inverted.")
    ]
    world: Annotated[str, Field(max_length=64, description="keep, first-camera, board, floor, or a camera's id.")] = (
        KEEP
    )
    model: Annotated[
        LensChoice, Field(description="Of the lenses; auto takes the one that explains held-out sights best.")
    ] = "auto"


def _live_of(request: Request) -> LiveCalibration:
    live: LiveCalibration = request.app.state.live_calibration
    return live


_Live = Annotated[LiveCalibration, Depends(_live_of)]
_NONE: dict[int | str, dict[str, Any]] = {404: {"description": "No session runs."}}
_NOT_NOW: dict[int | str, dict[str, Any]] = {409: {"description": "Not now; the answer says why."}}


@router.post("", status_code=201, responses=_NOT_NOW)
def start(live: _Live, wanted: StartSession) -> dict[str, Any]:
    """Begin to look for a board in the cameras' pictures. The stream goes on."""
    try:
        return live.start(wanted.board, wanted.world, wanted.model)
    except BoardError as error:
        raise HTTPException(422, str(error)) from None
    except SessionError as error:
        raise HTTPException(409, str(error)) from None


@router.get("", responses=_NONE)
def session(live: _Live) -> dict[str, Any]:
    """Tell what was seen so far, where to hold the board next, and what came of a solve."""
    try:
        return live.describe()
    except NoSessionError as error:
        raise HTTPException(404, str(error)) from None


@router.get(
    "/pictures/{camera_id}.jpg",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, 404: {"description": "No session, camera or picture."}},
)
def picture(live: _Live, camera_id: str) -> Response:
    """Give the picture in which the board was looked for last, with the corners that were found in it."""
    try:
        return Response(live.picture(camera_id), media_type="image/jpeg", headers={"Cache-Control": "no-store"})
    except NoSessionError as error:
        raise HTTPException(404, str(error)) from None
    except KeyError:
        raise HTTPException(404, f"no picture of camera {camera_id[:80]!r} was looked at yet") from None


@router.post("/solve", status_code=202, responses={**_NONE, **_NOT_NOW})
def solve(live: _Live) -> dict[str, Any]:
    """Solve from what was seen, in a process of its own."""
    try:
        return live.solve()
    except NoSessionError as error:
        raise HTTPException(404, str(error)) from None
    except SessionError as error:
        raise HTTPException(409, str(error)) from None


@router.post("/accept", responses={**_NONE, **_NOT_NOW})
async def accept(
    live: _Live, force: Annotated[bool, Query(description="Also if the verdict is bad.")] = False
) -> dict[str, Any]:
    """Take the solved calibration over, between two frame sets; it is a version like an uploaded one."""
    try:
        upload = await live.accept(force=force)
    except NoSessionError as error:
        raise HTTPException(404, str(error)) from None
    except (SessionError, CalibrationError) as error:
        raise HTTPException(409, str(error)) from None
    except SwapTimeoutError as error:
        raise HTTPException(503, str(error)) from None
    version = None if upload.version is None else upload.version.number
    return {"accepted": True, "version": version, **judgement_map(upload.judgement)}


@router.delete("", status_code=204, responses=_NONE)
def cancel(live: _Live) -> None:
    """End the session and forget what was collected."""
    try:
        live.cancel()
    except NoSessionError as error:
        raise HTTPException(404, str(error)) from None
