"""Errors of calibration data: each names the object, the value and the remedy."""


class CalibrationError(ValueError):
    """A calibration that cannot be used.

    Args:
        reasons: What is wrong, keyed by camera id; the key "" is about the calibration as a whole.
    """

    def __init__(self, reasons: dict[str, list[str]]) -> None:
        self.reasons = reasons
        super().__init__("; ".join(self.lines))

    @property
    def lines(self) -> list[str]:
        """One line a reason, each with its camera."""
        return [
            f"{f'camera {key!r}' if key else 'calibration'}: {why}"
            for key, whys in self.reasons.items()
            for why in whys
        ]
