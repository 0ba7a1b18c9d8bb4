"""Rendered hands before made-up cameras, with the exact truth: no hardware, no footage, no GPU."""

from engine.synthetic.rigs import make_rig
from engine.synthetic.scene import HandScene, HandTruth
from engine.synthetic.staging import SceneVariety

__all__ = ["HandScene", "HandTruth", "SceneVariety", "make_rig"]
