"""What a client may ask of the stream, and how a wrong wish is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from server.dialects import DEFAULT_UP, DIALECTS, UPS, Dialect, Up, XrDialect, read_up
from server.encoding import ENCODINGS, Encoding
from server.messages import DEFAULT_FIELDS, FIELDS
from server.motion import LONGEST_PREDICTION_MS

OPTIONS: Final = ("format", "dialect", "up", "fields", "predict_ms", "max_hz", "token")
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
        predict_ms: How long after their exposure hands are wanted, whole milliseconds.
    """

    encoding: Encoding
    dialect: Dialect
    fields: frozenset[str]
    max_hz: float | None
    predict_ms: int

    @classmethod
    def parse(cls, query: Mapping[str, str], default_up: Up = DEFAULT_UP) -> StreamOptions:
        """Read the options from a query string.

        Args:
            query: Names and values.
            default_up: What points up where the client does not say.

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
            encoding=encoding,
            dialect=dialect_named(query.get("dialect", "mano"), query.get("up"), default_up),
            fields=parse_fields(query.get("fields")),
            max_hz=_max_hz(query),
            predict_ms=_predict_ms(query),
        )


def dialect_named(name: str, up: str | None = None, default_up: Up = DEFAULT_UP) -> Dialect:
    """Return a dialect by its name, for a world in which an axis points up.

    Args:
        name: The dialect.
        up: The axis that a client named; None or nothing if it named none.
        default_up: The axis to take then.

    Raises:
        StreamOptionError: If there is no such dialect or axis, or if the dialect has no use for one.
    """
    if name not in DIALECTS:
        raise StreamOptionError(f"dialect {_shown(name)} is not known; use {' or '.join(DIALECTS)}")
    dialect = DIALECTS[name]
    if isinstance(dialect, XrDialect):
        axis = read_up(up) if up else default_up
        if axis is None:
            raise StreamOptionError(f"up {_shown(up or '')} is no axis; use one of {','.join(UPS)} (%2B is +)")
        return replace(dialect, up=axis)
    if up:
        turned = ", ".join(each.name for each in DIALECTS.values() if isinstance(each, XrDialect))
        raise StreamOptionError(f"up is for the dialects {turned}; leave it out with {name}")
    return dialect


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


def _predict_ms(query: Mapping[str, str]) -> int:
    text = query.get("predict_ms")
    if not text:
        return 0
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= LONGEST_PREDICTION_MS:
        raise StreamOptionError(f"predict_ms {_shown(text)} is not a number from 0 to {LONGEST_PREDICTION_MS:g}")
    return round(value)


def _shown(value: str) -> str:
    """Quote what a client sent, short enough for the 123 bytes of a close reason."""
    return ascii(value if len(value) <= _SHOWN else value[: _SHOWN - 3] + "...")[:40]
