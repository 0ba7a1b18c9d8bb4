"""What can be wrong with a recording."""

from capture.errors import CaptureError


class RecordingError(CaptureError):
    """A recording that cannot be read, or cannot be made; one line, for people."""
