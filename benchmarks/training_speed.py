"""How fast training is and where its time goes: `python -m benchmarks.training_speed windows`.

Steps of `usthand train` on the first windows of a data set, with a fixed trunk that has seen the crops before and with
one that learns. Each part is timed inside whole steps: fetching windows, trunk, decoder, 2D stage, point network and hand model, losses,
backward, optimiser. An image is one crop: batch times frames times views.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from engine.hand_model import HandModel
from engine.network.config import preset
from engine.network.network import UstHandNetwork
from training.datasets import ShardedWindows
from training.feeds import Feed, WindowFeed
from training.fit import FitConfig, fit
from training.levels import build_levels
from training.samples import Batch
from training.usthand import UstHandMethod
