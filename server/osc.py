"""Open Sound Control 1.0: messages and bundles as bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

OscArgument = str | int | float

_BUNDLE_HEAD: Final = b"#bundle\0" + struct.pack(">Q", 1)  # the time tag that means at once


def osc_message(address: str, *arguments: OscArgument) -> bytes:
    """Encode a message: strings as `s`, integers as `i` (32 bits), floats as `f` (single precision)."""
    tags, data = ",", b""
    for argument in arguments:
        if isinstance(argument, str):
            tags, data = f"{tags}s", data + _string(argument)
        elif isinstance(argument, int):
            tags, data = f"{tags}i", data + struct.pack(">i", argument)
        else:
            tags, data = f"{tags}f", data + struct.pack(">f", argument)
    return _string(address) + _string(tags) + data


def osc_bundles(messages: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """Pack messages, in their order, into bundles of so many bytes at most; a message larger than that goes alone."""
    bundle = _BUNDLE_HEAD
    for message in messages:
        element = struct.pack(">i", len(message)) + message
        if len(bundle) > len(_BUNDLE_HEAD) and len(bundle) + len(element) > limit:
            yield bundle
            bundle = _BUNDLE_HEAD
        bundle += element
    if len(bundle) > len(_BUNDLE_HEAD):
        yield bundle


def _string(text: str) -> bytes:
    """A string ends with a zero, and is filled up with zeros to a multiple of four."""
    data = text.encode() + b"\0"
    return data + b"\0" * (-len(data) % 4)
