"""Why nothing was refined."""

from __future__ import annotations


class RefineError(ValueError):
    """The recording does not say how a camera moved, or what it says makes nothing better; the text says which."""
