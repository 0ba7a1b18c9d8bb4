"""How windows come to a training step: as crops, or as what a fixed trunk once said of them (`training.levels`).

A GPU that waits for windows to be decoded and copied does little else: there all of them are kept where it sees them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.devices import sent
from training.samples import Batch, Window, collate

# The rest of a GPU's free memory is left to the steps.
_SHARE_OF_MEMORY: Final = 0.5
_FIELDS: Final = tuple(field.name for field in fields(Window))
_LEVELS: Final = ("f1", "f2", "f3", "f4")


class Feed(Protocol):
    """Batches of windows by number."""

    @property
    def views(self) -> int:
        """Views of a window, the most there are."""

    def __len__(self) -> int:
        """How many windows there are."""

    def batch(
        self, indices: Sequence[int], views: Sequence[Sequence[int]] | None = None, most: int | None = None
    ) -> Batch:
        """Fetch windows.

        Args:
            indices: Which.
            views: Which views of each, equally many; None is all.
            most: Take so many of those views only, in the windows' order: the first that saw the hand, others where
                these are too few. None is all, in the order that was given.
        """


class Windows(Protocol):
    """Windows by number: a list of them, or a `WindowSource`."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, index: int, /) -> Window:
        """Return one."""


def taken(views: Sequence[int], seen: NDArray[np.bool_], most: int | None) -> list[int]:
    """Which views of a window `Feed.batch` takes.

    Args:
        views: As it was asked for.
        seen: Whether each view of the window saw the hand `(V,)`.
        most: As it was asked for.
    """
    return list(views) if most is None else sorted(sorted(views, key=lambda view: not seen[view])[:most])


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

    def batch(
        self, indices: Sequence[int], views: Sequence[Sequence[int]] | None = None, most: int | None = None
    ) -> Batch:
        """Fetch windows; see `Feed`."""
        windows = [self._windows[index] for index in indices]
        if views is not None:
            windows = [
                window.with_views(taken(some, window.view_mask.max(axis=0) > 0, most))
                for window, some in zip(windows, views, strict=True)
            ]
        return collate(windows)


class ResidentFeed:
    """All windows of another feed, kept on a device; a batch is what that feed would give, there already.

    Args:
        inner: The feed; it is asked for each window once.
        device: Where they are kept.

    Raises:
        ValueError: If the feed has no windows.
    """

    def __init__(self, inner: Feed, device: torch.device) -> None:
        if not len(inner):
            raise ValueError("no windows to keep; give at least one")
        self._count, self._views, self._device = len(inner), inner.views, device
        self._kept: dict[str, Tensor] = {}
        # Asked for before a batch is: not where reading it would wait for a GPU.
        self._seen = np.zeros((self._count, self._views), dtype=np.bool_)
        for index in range(len(inner)):
            batch = inner.batch([index])
            self._seen[index] = batch.view_mask[0].any(dim=0).cpu().numpy()
            for name, values in _by_view(batch).items():
                if name not in self._kept:
                    self._kept[name] = torch.empty((self._count, *values.shape), dtype=values.dtype, device=device)
                self._kept[name][index] = values

    @property
    def views(self) -> int:
        """The inner feed's."""
        return self._views

    def __len__(self) -> int:
        return self._count

    def batch(
        self, indices: Sequence[int], views: Sequence[Sequence[int]] | None = None, most: int | None = None
    ) -> Batch:
        """Fetch windows; see `Feed`."""
        chosen = [range(self._views)] * len(indices) if views is None else views
        chosen = [taken(some, self._seen[index], most) for index, some in zip(indices, chosen, strict=True)]
        window = sent(torch.tensor(list(indices))[:, None], self._device)
        view = sent(torch.tensor(chosen), self._device)
        picked = {name: values[window, view].transpose(1, 2) for name, values in self._kept.items()}
        # As `training.levels` gives them: channels last in memory.
        levels = [
            picked[name].flatten(0, 2).permute(0, 3, 1, 2).to(torch.float32) for name in _LEVELS if name in picked
        ]
        return Batch(
            **{name: picked[name].contiguous() for name in _FIELDS},
            levels=(levels[0], levels[1], levels[2], levels[3]) if levels else None,
        )


def near(feed: Feed, device: torch.device) -> Feed:
    """Return a feed that keeps its windows on a GPU, if that is where training runs and they fit; else as it is."""
    if device.type != "cuda" or not len(feed):
        return feed
    first = _by_view(feed.batch([0])).values()
    free, _ = torch.cuda.mem_get_info(device)
    if sum(values.nbytes for values in first) * len(feed) > _SHARE_OF_MEMORY * free:
        return feed
    return ResidentFeed(feed, device)


def _by_view(batch: Batch) -> dict[str, Tensor]:
    """A batch of one window as arrays `(V, T, ...)`; levels with their channels last, in the float16 of their files."""
    arrays = {name: getattr(batch, name)[0].transpose(0, 1) for name in _FIELDS}
    for name, level in zip(_LEVELS, batch.levels or (), strict=False):
        whole = level.permute(0, 2, 3, 1).unflatten(0, batch.view_mask.shape[1:])
        arrays[name] = whole.transpose(0, 1).to(torch.float16)
    return arrays
