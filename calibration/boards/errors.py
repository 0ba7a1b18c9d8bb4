"""Errors of calibration boards: each names the part of the spec, its value and the remedy."""


class BoardError(ValueError):
    """A board that cannot be used, printed or told apart from itself."""
