"""What every method is to training and evaluation: UST-Hand, its ablations and the baselines alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from training.samples import Batch


@dataclass(frozen=True, eq=False, slots=True)
class Answer:
    """What a method says about a batch of B windows of T frames; lengths are metres of the windows' local frame.

    Args:
        joints: The 21 joints `(B, T, 21, 3)`.
        valid: 1 where it answered, else 0 `(B, T)`.
        vertices: The hand model's mesh `(B, T, Nv, 3)`; None where the method makes none.
        mano_joints: The hand model's joints `(B, T, 21, 3)`; None where the method has no hand model.
        covariance_mm2: Of `joints` `(B, T, 21, 3, 3)`; None where the method knows no uncertainty.
    """

    joints: Tensor
    valid: Tensor
    vertices: Tensor | None = None
    mano_joints: Tensor | None = None
    covariance_mm2: Tensor | None = None


class Method(Protocol):
    """Something that turns windows into joints."""

    @property
    def name(self) -> str:
        """What tables call it."""

    def predict(self, batch: Batch, generator: torch.Generator) -> Answer:
        """Answer for a batch, without gradients and in evaluation mode; chance comes from the generator alone."""


class TrainableMethod(Method, Protocol):
    """A method that learns from 2D labels."""

    @property
    def module(self) -> nn.Module:
        """All that is trained and kept; a submodule named `backbone` is its trunk, which may be held fixed."""

    def losses(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, a scalar, and its terms for people, detached scalars by name.

        It reads the batch's crops (or its `levels`), cameras and 2D labels, nothing else.
        """
