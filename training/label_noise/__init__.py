"""Labels that are as wrong as an off-the-shelf detector's, for windows whose truth is known."""

from training.label_noise.model import Levels, NoiseModel, NoisyLabeller
from training.label_noise.presets import PRESETS, noisy_labeller

__all__ = ["PRESETS", "Levels", "NoiseModel", "NoisyLabeller", "noisy_labeller"]
