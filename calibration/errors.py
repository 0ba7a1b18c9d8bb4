"""Errors of calibration data: each names the object, the value and the remedy."""


class CalibrationError(ValueError):
    """A calibration that cannot be used.

    Args:
        reasons: What is wrong, keyed by camera id; the key "" is about the calibration as a whole.
        source: The file or folder that it was read from; empty where it came from none.
    """

    def __init__(self, reasons: dict[str, list[str]], source: str = "") -> None:
        self.reasons = reasons
        self.source = source
        first, *others = self.lines or [""]
        # In one sentence the file is named once.
        super().__init__("; ".join([first, *(line.removeprefix(f"calibration {source}: ") for line in others)]))

    @property
    def lines(self) -> list[str]:
        """One line a reason, each with its file and its camera."""
        return [self._line(key, why) for key, whys in self.reasons.items() for why in whys]

    def _line(self, camera_id: str, why: str) -> str:
        # A file that cannot be read is named by the reason itself, which may be about one of several in a folder.
        named = f"calibration {self.source}: " if self.source and not why.startswith(self.source) else ""
        if camera_id:
            return f"{named}camera {camera_id!r}: {why}"
        return f"{named or 'calibration: '}{why}"
