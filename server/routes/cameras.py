"""The cameras: how they are and what they see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Query, Response

from calibration.drift import Verdict
from calibration.files import calibration_to_dict
from server.encoding import plain
from server.parts import Parts, Running
from server.previews import NARROWEST, WIDEST, NoPictureError, PreviewRequest

router = APIRouter(tags=["cameras"])

_TRUST_REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    404: {"description": "No such camera."},
    409: {"description": "The calibration is not watched."},
}


@router.get("/cameras")
def cameras(parts: Running) -> dict[str, Any]:
    """Give each camera's state, rate, drops by cause and calibration."""
    calibrated = {camera["id"]: camera for camera in calibration_to_dict(parts.pipeline.rig)["cameras"]}
    return {
        "cameras": [
            {
                "id": camera.id,
                "state": camera.state,
                "message": camera.message,
                "width": camera.width,
                "height": camera.height,
                "fps": plain(round(float(camera.fps), 2)),
                "frames": camera.frames,
                "drops": dict(camera.drops),
                "warnings": list(camera.warnings),
                "drift": parts.drift.status.details(camera.id),
                "calibration": {
                    name: calibrated[camera.id][name] for name in ("model", "K", "distortion", "T_camera_world")
                },
            }
            for camera in parts.cameras()
        ]
    }


@router.post("/cameras/{camera_id}/trust", responses=_TRUST_REFUSED)
def trust(parts: Running, camera_id: str) -> dict[str, Any]:
    """Take a camera for right until the calibration changes, whatever the drift monitor says; it is used again."""
    return _changed(parts, camera_id, parts.drift.trust)


@router.delete("/cameras/{camera_id}/trust", responses=_TRUST_REFUSED)
def distrust(parts: Running, camera_id: str) -> dict[str, Any]:
    """Let the drift monitor judge a camera again that was trusted."""
    return _changed(parts, camera_id, parts.drift.distrust)


@router.get(
    "/cameras/{camera_id}/preview.jpg",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, 404: {"description": "No such camera."}},
)
async def preview(
    parts: Running,
    camera_id: str,
    overlay: Annotated[bool, Query(description="Draw the hands on the picture.")] = False,
    width: Annotated[
        int | None, Query(ge=NARROWEST, le=WIDEST, description="Of the picture in pixels; the camera's at most.")
    ] = None,
) -> Response:
    """Give the newest picture of a camera as JPEG; 503 with the reason while there is none."""
    ids = parts.pipeline.rig.camera_ids
    if camera_id not in ids:
        raise HTTPException(404, f"there is no camera {camera_id[:80]!r}; there are {', '.join(ids)}")
    try:
        picture = await parts.previews.preview(PreviewRequest(camera_id, overlay, width))
    except NoPictureError as error:
        raise HTTPException(503, str(error), headers={"retry-after": "1"}) from None
    headers = {"cache-control": "no-store", "x-usthand-sequence": str(picture.sequence)}
    return Response(picture.jpeg, media_type="image/jpeg", headers=headers)


def _changed(parts: Parts, camera_id: str, change: Callable[[str], Verdict]) -> dict[str, Any]:
    try:
        change(camera_id)
    except KeyError:
        ids = ", ".join(parts.pipeline.rig.camera_ids)
        raise HTTPException(404, f"there is no camera {camera_id[:80]!r}; there are {ids}") from None
    except RuntimeError as error:
        raise HTTPException(409, str(error)) from None
    return {"id": camera_id, "drift": parts.drift.status.details(camera_id)}
