"""What training and evaluation ask of any data."""

from __future__ import annotations

from typing import Protocol

from training.samples import Window
from training.truth import Truth


class WindowSource(Protocol):
    """Windows by number, all of equal T and S; those of left hands are mirrored to right ones."""

    @property
    def name(self) -> str:
        """What data it is, for reports: the data set, its split and its labels."""

    @property
    def version(self) -> str:
        """A short digest of everything that decides the windows; saved with each run."""

    def __len__(self) -> int:
        """How many windows there are."""

    def __getitem__(self, index: int) -> Window:
        """Return a window: crops, cameras and 2D labels, no truth. Equal numbers give equal windows.

        Raises:
            IndexError: If there is no window of that number.
        """

    def truth(self, index: int) -> Truth | None:
        """Return what is really so, for evaluation alone; None where the data does not know."""
