"""Windows for a network whose crops have another size than theirs."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from training.datasets.base import WindowSource
from training.samples import Window
from training.truth import Truth


def sized(source: WindowSource, size_px: int) -> WindowSource:
    """Return windows with crops of a size: the source itself if it has them, else with its crops resized.

    Labels and cameras stay: crop coordinates know no pixels.

    Args:
        source: The windows.
        size_px: Side of the crops, `NetworkConfig.input_px`.
    """
    return source if not len(source) or source[0].size_px == size_px else _Resized(source, size_px)


class _Resized:
    """Windows whose crops are resized.

    Args:
        source: The windows.
        size_px: Side of the crops.
    """

    def __init__(self, source: WindowSource, size_px: int) -> None:
        self._source = source
        self._size_px = size_px

    @property
    def name(self) -> str:
        """The source's, and the size."""
        return f"{self._source.name}, resized to {self._size_px} px"

    @property
    def version(self) -> str:
        """The source's, and the size."""
        return f"{self._source.version}-{self._size_px}px"

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Window:
        window = self._source[index]
        shrunk = self._size_px < window.size_px
        crops = [
            cv2.resize(
                crop, (self._size_px, self._size_px), interpolation=cv2.INTER_AREA if shrunk else cv2.INTER_CUBIC
            )
            for crop in window.crops.reshape(-1, *window.crops.shape[2:])
        ]
        return replace(window, crops=np.stack(crops).reshape(window.frames, window.views, *crops[0].shape))

    def truth(self, index: int) -> Truth | None:
        """The source's."""
        return self._source.truth(index)
