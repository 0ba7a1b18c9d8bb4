"""Several sources as one."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Sequence
from itertools import accumulate

from training.datasets.base import WindowSource
from training.samples import Window
from training.truth import Truth


class Joined:
    """The windows of several sources, one source after the other; those of fewer views get masked ones added.

    Args:
        sources: At least one; each has windows of equally many views.

    Raises:
        ValueError: If there is none, one is empty, or their windows differ in frames or crop size.
    """

    def __init__(self, sources: Sequence[WindowSource]) -> None:
        if not sources:
            raise ValueError("no data was given; name at least one folder of windows")
        for source in sources:
            if not len(source):
                raise ValueError(f"{source.name} has no windows; leave it out, or make some")
        self._sources = list(sources)
        self._ends = list(accumulate(len(source) for source in sources))
        firsts = [source[0] for source in sources]
        shapes = {(window.frames, window.size_px): source.name for window, source in zip(firsts, sources, strict=True)}
        if len(shapes) > 1:
            told = ", ".join(f"{name}: {frames} frames, {px} px" for (frames, px), name in shapes.items())
            raise ValueError(f"data of different windows cannot be trained on together ({told}); make them alike")
        self._views = max(window.views for window in firsts)

    @property
    def name(self) -> str:
        """All names."""
        return " + ".join(source.name for source in self._sources)

    @property
    def version(self) -> str:
        """A digest of all versions."""
        if len(self._sources) == 1:
            return self._sources[0].version
        return hashlib.sha256(" ".join(source.version for source in self._sources).encode()).hexdigest()[:12]

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Window:
        source, inner = self._place(index)
        return source[inner].with_masked_views(self._views)

    def truth(self, index: int) -> Truth | None:
        """What is really so in a window, where its source knows."""
        source, inner = self._place(index)
        return source.truth(inner)

    def _place(self, index: int) -> tuple[WindowSource, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"no window {index}; there are {len(self)}")
        number = bisect.bisect_right(self._ends, index)
        return self._sources[number], index - (self._ends[number - 1] if number else 0)
