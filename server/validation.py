"""The answer to a request that is not what its route takes."""

from __future__ import annotations

import json
from typing import cast

from fastapi import HTTPException, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from starlette.requests import HTTPConnection

_READING = ("GET", "HEAD", "OPTIONS")
_OF_EVERY_ROUTE = "token"


async def refuse_invalid(request: Request, error: Exception) -> Response:  # noqa: ARG001 - a handler's signature
    """Say what is wrong where, without repeating what was sent: not all that Python reads can be said in JSON."""
    wrong = [
        {name: found[name] for name in ("type", "loc", "msg")} for found in cast(RequestValidationError, error).errors()
    ]
    # ASCII, since a name in `loc` may hold half of a surrogate pair.
    return Response(json.dumps({"detail": wrong}), status_code=422, media_type="application/json")


async def refuse_unknown_query(connection: HTTPConnection) -> None:
    """Refuse to change anything where the query has an option that the route does not know.

    A misspelt `dry_run` would not hold it back.

    Raises:
        HTTPException: With the option, and those that there are.
    """
    scope = connection.scope
    if scope["type"] != "http" or scope["method"] in _READING:
        return
    known = _query_names(scope["route"].dependant)
    unknown = sorted(set(connection.query_params) - known - {_OF_EVERY_ROUTE})
    if unknown:
        there = f"there are {', '.join(sorted(known))}" if known else "there are none"
        raise HTTPException(422, f"query option {unknown[0]!r} is not known; {there}")


def _query_names(dependant: Dependant) -> set[str]:
    """Names of a route's options in the query, those of what it depends on too."""
    return {field.alias for field in dependant.query_params}.union(*map(_query_names, dependant.dependencies))
