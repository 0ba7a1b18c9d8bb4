"""The names inside a recording's MCAP file, and what its messages look like to other programs.

Every message is logged at the time of exposure (a frame set's: of its last picture), on the monotonic clock of the
machine that recorded it. A picture's time of publication is when it arrived, a `hands` message's when it was solved.

Pictures are ROS 2 messages in CDR, which MCAP viewers show as they are; all else is JSON without a schema.
"""

from __future__ import annotations

from typing import Final

SCHEMA: Final = "usthand.recording/1"

FRAME_SETS: Final = "/frame_sets"
HANDS: Final = "/hands"
CALIBRATION: Final = "/calibration"

INFO_RECORD: Final = "usthand.recording"
ENGINE_RECORD: Final = "usthand.engine"
END_RECORD: Final = "usthand.end"

COMPRESSED_IMAGE: Final = "sensor_msgs/msg/CompressedImage"
IMAGE: Final = "sensor_msgs/msg/Image"

_PICTURES: Final = "/cameras/"

_HEADER: Final = """
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""

ROS_FIELDS: Final = {
    COMPRESSED_IMAGE: f"std_msgs/Header header\nstring format\nuint8[] data{_HEADER}",
    IMAGE: (
        "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\n"
        f"uint8[] data{_HEADER}"
    ),
}
"""Definitions of the messages that pictures are stored as, each with those it is made of."""


def picture_topic(camera_id: str) -> str:
    """Return the channel of a camera's pictures."""
    return f"{_PICTURES}{camera_id}"
