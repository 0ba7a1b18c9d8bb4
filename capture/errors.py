"""Errors of sources and sessions: each names the object, the value and the remedy."""


class CaptureError(RuntimeError):
    """A source that cannot be read, or memory that cannot be had."""


class RigConfigError(ValueError):
    """A `rig.yaml` that cannot be used; one line, for people."""
