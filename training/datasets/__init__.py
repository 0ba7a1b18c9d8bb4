"""Where windows come from: rendered shards, a lab's own recordings, published data sets; all behind one interface."""

from training.datasets.base import WindowSource
from training.datasets.joined import Joined

__all__ = ["Joined", "WindowSource"]
