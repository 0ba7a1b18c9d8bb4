"""Recordings: start one, stop it, list what there is."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from capture.recording import PictureFormat, Pictures, RecordingError
from server.recording.opening import NoSpaceError
from server.recording.recordings import AlreadyRecordingError, NotRecordingError, Recordings

router = APIRouter(tags=["recordings"])


class StartRecording(BaseModel):
    """What to record."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[
        str | None, Field(max_length=200, description="For its folder; the time by default. Never a path.")
    ] = None
    pictures: Annotated[
        PictureFormat | None, Field(description="jpeg is small; png and raw give back the same pixels.")
    ] = None
    quality: Annotated[int | None, Field(ge=1, le=100, description="Of JPEG.")] = None


def _recordings_of(request: Request) -> Recordings:
    recordings: Recordings = request.app.state.recordings
    return recordings


_Recordings = Annotated[Recordings, Depends(_recordings_of)]


@router.get("/recordings")
def list_all(recordings: _Recordings) -> dict[str, Any]:
    """List the current recording, with its state, and those that there are, newest first."""
    return recordings.describe()


@router.post(
    "/recordings",
    status_code=201,
    responses={409: {"description": "One runs already."}, 507: {"description": "The disk is full, or not writable."}},
)
def start(recordings: _Recordings, wanted: StartRecording | None = None) -> dict[str, Any]:
    """Start a recording of every frame set, its pictures, and the `hands` messages."""
    wanted = wanted or StartRecording()
    default = recordings.default_pictures
    try:
        pictures = Pictures(wanted.pictures or default.format, wanted.quality or default.quality)
        return recordings.start(wanted.name, pictures).to_map()
    except AlreadyRecordingError as error:
        raise HTTPException(409, str(error)) from None
    except NoSpaceError as error:
        raise HTTPException(507, str(error)) from None
    except RecordingError as error:
        raise HTTPException(422, str(error)) from None


@router.delete("/recordings/current", responses={404: {"description": "No recording runs."}})
def stop(recordings: _Recordings) -> dict[str, Any]:
    """Stop the recording and tell what became of it: frames, seconds, size, and what was dropped, by cause."""
    try:
        return recordings.stop().to_map()
    except NotRecordingError as error:
        raise HTTPException(404, str(error)) from None
