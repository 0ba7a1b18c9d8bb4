"""The server's WebSocket frames (RFC 6455, 5.2): a whole message each, neither masked nor compressed."""

from __future__ import annotations

import struct
from typing import Final

_FINAL_TEXT: Final = 0x81
_FINAL_BINARY: Final = 0x82
_SHORT: Final = 126
_MEDIUM: Final = 1 << 16


def frame_head(size: int, *, text: bool) -> bytes:
    """Return what stands before the payload of a message.

    Args:
        size: Bytes of the payload.
        text: Whether the payload is UTF-8 text.
    """
    opcode = _FINAL_TEXT if text else _FINAL_BINARY
    if size < _SHORT:
        return bytes((opcode, size))
    if size < _MEDIUM:
        return struct.pack(">BBH", opcode, 126, size)
    return struct.pack(">BBQ", opcode, 127, size)
