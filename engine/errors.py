"""Errors of the engine: each names the object, the value and the remedy."""


class EngineError(RuntimeError):
    """The engine cannot run as asked."""
