"""Device timestamps of recorded cameras, from a CSV beside the videos."""

from __future__ import annotations

import csv
import itertools
import math
from dataclasses import dataclass
from pathlib import Path

from capture.errors import CaptureError

_COLUMNS = ("cam_id", "frame_time")


@dataclass(frozen=True, slots=True)
class RecordedTimes:
    """When the frames of one camera were exposed.

    Args:
        offsets_ns: One entry a frame, from the first frame of the rig, which need not be this camera's.
        period_ns: Length of the rig's recording, for loops: the same for all of its cameras.
    """

    offsets_ns: tuple[int, ...]
    period_ns: int


def load_timestamps(path: Path, camera: str) -> RecordedTimes:
    """Read the exposure times of one camera.

    Args:
        path: CSV with at least the columns `cam_id` and `frame_time` (seconds).
        camera: The `cam_id` to take.

    Raises:
        CaptureError: If the file cannot be used.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header = tuple(reader.fieldnames or ())
            if missing := [name for name in _COLUMNS if name not in header]:
                raise CaptureError(
                    f"timestamps {path} lack the column {', '.join(missing)} (there are {', '.join(header)}); "
                    "write one row a frame with cam_id and frame_time in seconds"
                )
            times_s: dict[str, list[float]] = {}
            for row in reader:
                times_s.setdefault(str(row["cam_id"]), []).append(_seconds(path, reader.line_num, row["frame_time"]))
    except OSError as error:
        raise CaptureError(f"timestamps {path} cannot be read: {error.strerror}; check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CaptureError(f"timestamps {path} are not a CSV text: {error}") from error
    if camera not in times_s:
        raise CaptureError(
            f"timestamps {path} have no camera {camera!r}; set timestamps.camera to one of {', '.join(times_s)}"
        )
    own = times_s[camera]
    if back := [i for i, (a, b) in enumerate(itertools.pairwise(own)) if b <= a]:
        raise CaptureError(
            f"timestamps {path}: camera {camera!r} goes back in time at its row {back[0] + 2}; rows of one camera "
            "must be in the order of its frames"
        )
    first = min(min(times) for times in times_s.values())
    last = max(max(times) for times in times_s.values())
    # The fastest camera's, whichever one is asked for: loops of unlike length would drift apart.
    intervals = [(max(times) - min(times)) / (len(times) - 1) for times in times_s.values() if len(times) > 1]
    period = last - first + min(intervals, default=1.0)
    return RecordedTimes(tuple(round((t - first) * 1e9) for t in own), round(period * 1e9))


def _seconds(path: Path, line: int, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise CaptureError(f"timestamps {path}, line {line}: frame_time {text!r} is not a number of seconds")
    return value
