"""The answer to a request that is not what its route takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast, get_args

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.requests import HTTPConnection

_READING = ("GET", "HEAD", "OPTIONS")
_OF_EVERY_ROUTE = "token"
_MOST_SAID: Final = 5
_MOST_CHARACTERS: Final = 40
_REFUSAL: Final = {
    "title": "Refusal",
    "type": "object",
    "properties": {"detail": {"type": "string", "description": "What is wrong, and what is allowed."}},
    "required": ["detail"],
}


class DescribedApp(FastAPI):
    """An application whose OpenAPI document describes the refusals of `refuse_invalid`, not the framework's own."""

    def openapi(self) -> dict[str, Any]:
        """Return the document."""
        document = super().openapi()
        schemas = document["components"]["schemas"]
        schemas["HTTPValidationError"] = _REFUSAL
        schemas.pop("ValidationError", None)
        return document


async def refuse_invalid(request: Request, error: Exception) -> Response:
    """Say what is wrong where, without repeating what was sent: not all that Python reads can be said in JSON."""
    keys = tuple(_body_keys(request.scope["route"].dependant))
    found = cast(RequestValidationError, error).errors()
    said = [_sentence(one, keys) for one in found[:_MOST_SAID]]
    if len(found) > _MOST_SAID:
        said.append(f"and {len(found) - _MOST_SAID} more")
    # ASCII, since a name may hold half of a surrogate pair.
    return Response(json.dumps({"detail": "; ".join(said)}), status_code=422, media_type="application/json")


def _sentence(found: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """Say one of the framework's findings."""
    place, *names = found["loc"]
    kind = found["type"]
    if kind == "json_invalid":
        return f"the body is not JSON: {found['ctx']['error']} (character {names[0]})"
    if place == "body" and not names:
        return "the body is missing or no JSON object; send one, with Content-Type: application/json"
    name = ".".join(map(str, names))
    name = name if len(name) <= _MOST_CHARACTERS else f"{name[:_MOST_CHARACTERS]}..."
    where = f"key {name!r} of the body" if place == "body" else f"{place} option {name!r}"
    if kind == "missing":
        return f"{where} is missing"
    if kind == "extra_forbidden":
        return f"{where} is not known; there are {', '.join(keys)}"
    what = str(found["msg"]).removeprefix("Input ").removeprefix("String ")
    return f"{where} {what}" if what != found["msg"] else f"{where}: {what}"


def _body_keys(dependant: Dependant) -> Iterator[str]:
    """Name the keys of the JSON object that a route takes."""
    for field in dependant.body_params:
        annotation = field.field_info.annotation
        for kind in (annotation, *get_args(annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from kind.model_fields


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
