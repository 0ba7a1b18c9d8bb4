"""Reading what anybody may have sent, within bounds."""

from __future__ import annotations

from typing import Final

from fastapi import HTTPException, Request

UPLOAD_BYTES: Final = 1 << 20


async def read_bounded(request: Request, limit_bytes: int = UPLOAD_BYTES) -> bytes:
    """Read a request's body, giving up as soon as it is too large. How deep it may nest is the parser's to judge.

    Raises:
        HTTPException: 413 if it is larger than the limit.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit_bytes:
            raise HTTPException(413, f"the upload is larger than {limit_bytes} bytes; a calibration is a few kilobytes")
    return bytes(data)
