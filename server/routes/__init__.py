"""The HTTP routes, one module a subject."""

from __future__ import annotations

from typing import Final

API_PREFIX: Final = "/api/v1"
STREAM_PATH: Final = f"{API_PREFIX}/stream"
