"""The pages: viewer and API documentation. Everything they load comes from here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles

VIEWER_FOLDER: Final = Path(__file__).parents[1] / "viewer"
CLIENT_FOLDER: Final = Path(__file__).parents[2] / "client_demo" / "web"
_DOCS_PAGE: Final = Path(__file__).parents[1] / "docs_page.html"

PAGE_HEADERS: Final = {
    "cache-control": "no-cache",
    # Holds pages to what they promise: no request leaves the machine that serves them.
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' blob: data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

router = APIRouter(include_in_schema=False)


@router.get("/", response_class=HTMLResponse)
def viewer() -> FileResponse:
    """Give the viewer."""
    return FileResponse(VIEWER_FOLDER / "index.html", media_type="text/html", headers=PAGE_HEADERS)


@router.get("/docs", response_class=HTMLResponse)
def docs() -> FileResponse:
    """Give a page that lists the API."""
    return FileResponse(_DOCS_PAGE, media_type="text/html", headers=PAGE_HEADERS)


class PageFiles(StaticFiles):
    """Files that belong to a page, each time asked for whether they are still the same.

    A browser would else keep them for as long as it likes, and run a page of this version with modules of the last one.
    """

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Give a file, or say that it has not changed."""
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = PAGE_HEADERS["cache-control"]
        return response
