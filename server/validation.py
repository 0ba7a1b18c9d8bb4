"""The answer to a request that is not what its route takes."""

from __future__ import annotations

import json
from typing import cast

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError


async def refuse_invalid(request: Request, error: Exception) -> Response:  # noqa: ARG001 - a handler's signature
    """Say what is wrong where, without repeating what was sent: not all that Python reads can be said in JSON."""
    wrong = [
        {name: found[name] for name in ("type", "loc", "msg")} for found in cast(RequestValidationError, error).errors()
    ]
    # ASCII, since a name in `loc` may hold half of a surrogate pair.
    return Response(json.dumps({"detail": wrong}), status_code=422, media_type="application/json")
