"""How windows come to a training step: as crops, or as what a fixed trunk once said of them (`training.levels`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from training.samples import Batch, Window, collate


class Feed(Protocol):
    """Batches of windows by number."""

    @property
    def views(self) -> int:
        """Views of a window, the most there are."""

    def __len__(self) -> int:
        """How many windows there are."""

    def batch(self, indices: Sequence[int], views: Sequence[Sequence[int]] | None = None) -> Batch:
        """Fetch windows.

        Args:
            indices: Which.
            views: Which views of each, equally many; None is all.
        """


class Windows(Protocol):
    """Windows by number: a list of them, or a `WindowSource`."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, index: int, /) -> Window:
        """Return one."""


class WindowFeed:
    """Windows with their crops.

    Args:
        windows: All of equal T and S.
    """

    def __init__(self, windows: Windows) -> None:
        self._windows = windows

    @property
    def views(self) -> int:
        """Views of the first window."""
        return self._windows[0].views

    def __len__(self) -> int:
        return len(self._windows)

    def batch(self, indices: Sequence[int], views: Sequence[Sequence[int]] | None = None) -> Batch:
        """Fetch windows; see `Feed`."""
        windows = [self._windows[index] for index in indices]
        if views is not None:
            windows = [window.with_views(chosen) for window, chosen in zip(windows, views, strict=True)]
        return collate(windows)
