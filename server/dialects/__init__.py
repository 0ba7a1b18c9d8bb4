"""The dialects that a stream can speak."""

from calibration.up import UPS, Up, read_up
from server.dialects.base import Dialect, DialectHand, Skeleton
from server.dialects.mano import ManoDialect
from server.dialects.mediapipe import MediaPipeDialect
from server.dialects.up import DEFAULT_UP
from server.dialects.xr import OPENXR, UNITY, UNREAL, WEBXR, XrDialect

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        ManoDialect(),
        XrDialect(OPENXR),
        XrDialect(WEBXR),
        XrDialect(UNITY),
        XrDialect(UNREAL),
        MediaPipeDialect(),
    )
}
"""Every dialect by its name; those with an `up` have the default one."""

__all__ = ["DEFAULT_UP", "DIALECTS", "UPS", "Dialect", "DialectHand", "Skeleton", "Up", "XrDialect", "read_up"]
