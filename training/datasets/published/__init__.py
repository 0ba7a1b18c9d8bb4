"""Data sets of others, read where and as their authors publish them: HanCo, DexYCB, OakInk."""

from training.datasets.published.layout import Layout, Moment, Scene, View
from training.datasets.published.opening import FORMATS, SPLITS, check, open_layout
from training.datasets.published.windows import LabelFrom, PublishedWindows, write_windows

__all__ = [
    "FORMATS",
    "SPLITS",
    "LabelFrom",
    "Layout",
    "Moment",
    "PublishedWindows",
    "Scene",
    "View",
    "check",
    "open_layout",
    "write_windows",
]
