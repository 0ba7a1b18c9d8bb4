"""Detectors that can be simulated.

`mediapipe` is the model as fitted. Of the paper's two detectors there are no labels here; their levels come from its
Tab. 3. LT-Algebraic's error on HanCo (8 views) is 10.3 mm with OpenPose's labels, 8.5 with WiLoR's and 5.5 with true 2D
joints; taken off as squares, 8.7 and 6.5 mm remain of the labels. Each has the factor with which weighted triangulation
of labels of 8 views (`python -m benchmarks.label_noise WINDOWS --levels BENCH`) is as far off. The rest is what the
paper says of them (sec. 4.5 and 4.6): OpenPose knows no hand model and suffers from occlusion, WiLoR fits a hand model
and copes with it. How much more or less that is, nobody has measured here.
"""

from __future__ import annotations

from typing import Final

from training.label_noise.model import Levels, NoiseModel, NoisyLabeller

PRESETS: Final[dict[str, Levels]] = {
    "mediapipe": Levels(),
    "openpose-like": Levels(error=1.35, hidden=1.5, alone=0.5, own_confidence=True, own_joints=False),
    "wilor-like": Levels(error=0.93, hidden=0.5, failures=0.3, own_joints=False),
}
"""By name."""


def noisy_labeller(name: str) -> NoisyLabeller:
    """Return the labeller of a preset.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in PRESETS:
        raise ValueError(f"label noise {name!r} is not known; use one of {', '.join(PRESETS)}")
    return NoisyLabeller(name, NoiseModel.load(), PRESETS[name])
