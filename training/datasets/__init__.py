"""Where windows come from: rendered shards, a lab's own recordings, published data sets; all behind one interface."""

from training.datasets.base import WindowSource
from training.datasets.joined import Joined
from training.datasets.shards import Labelled, ShardedWindows, write_manifest, write_shard
from training.datasets.sized import sized

__all__ = ["Joined", "Labelled", "ShardedWindows", "WindowSource", "sized", "write_manifest", "write_shard"]
