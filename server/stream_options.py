"""What a client may ask of the stream, and how a wrong wish is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from server.dialects import DIALECTS, Dialect
from server.encoding import ENCODINGS, Encoding
from server.messages import DEFAULT_FIELDS, FIELDS

OPTIONS: Final = ("format", "dialect", "fields", "max_hz", "token")
HIGHEST_MAX_HZ: Final = 1000.0
_SHOWN: Final = 16


class StreamOptionError(ValueError):
    """A wish that the stream cannot meet; the text names what it can."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """A client's choices.

    Args:
        encoding: JSON or msgpack.
        dialect: How hands are said.
        fields: Which parts of a hand are sent.
        max_hz: Messages a second at most; None is as many as there are.
    """

    encoding: Encoding
    dialect: Dialect
    fields: frozenset[str]
    max_hz: float | None

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> StreamOptions:
        """Read the options from a query string.

        Raises:
            StreamOptionError: If an option or a value is not one of those allowed.
        """
        if unknown := sorted(set(query) - set(OPTIONS)):
            raise StreamOptionError(f"option {_shown(unknown[0])} is not known; use some of {','.join(OPTIONS)}")
        asked = query.get("format", "json")
        encoding = next((name for name in ENCODINGS if name == asked), None)
        if encoding is None:
            raise StreamOptionError(f"format {_shown(asked)} is not known; use {' or '.join(ENCODINGS)}")
        return cls(
            encoding, dialect_named(query.get("dialect", "mano")), parse_fields(query.get("fields")), _max_hz(query)
        )


def dialect_named(name: str) -> Dialect:
    """Return a dialect by its name.

    Raises:
        StreamOptionError: If there is none of that name.
    """
    if name not in DIALECTS:
        raise StreamOptionError(f"dialect {_shown(name)} is not known; use {' or '.join(DIALECTS)}")
    return DIALECTS[name]


def parse_fields(text: str | None) -> frozenset[str]:
    """Read a comma-separated list of fields; None and nothing are the default.

    Raises:
        StreamOptionError: If a field is not known.
    """
    if not text:
        return DEFAULT_FIELDS
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if unknown := sorted(names - set(FIELDS)):
        raise StreamOptionError(f"field {_shown(unknown[0])} is not known; use some of {','.join(FIELDS)}")
    return names


def _max_hz(query: Mapping[str, str]) -> float | None:
    text = query.get("max_hz")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= HIGHEST_MAX_HZ:
        raise StreamOptionError(f"max_hz {_shown(text)} is not a number above 0 and up to {HIGHEST_MAX_HZ:g}")
    return value


def _shown(value: str) -> str:
    """Quote what a client sent, short enough for the 123 bytes of a close reason."""
    return ascii(value if len(value) <= _SHOWN else value[: _SHOWN - 3] + "...")[:40]
