"""The dialects that a stream can speak."""

from server.dialects.base import Dialect, DialectHand, Skeleton
from server.dialects.mano import ManoDialect
from server.dialects.mediapipe import MediaPipeDialect

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (ManoDialect(), MediaPipeDialect())}
"""Every dialect by its name."""

__all__ = ["DIALECTS", "Dialect", "DialectHand", "Skeleton"]
