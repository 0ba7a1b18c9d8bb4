"""UST-Hand as a method among others: the network, and the losses of sec. 3.6."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from engine.network.network import SequenceOutputs, UstHandNetwork
from training.devices import sent
from training.distributed import drawn
from training.losses import LossWeights, losses
from training.methods import Answer
from training.samples import Batch


def run_network(network: UstHandNetwork, batch: Batch, generator: torch.Generator) -> SequenceOutputs:
    """Run a network over a batch with noise drawn on the CPU, so that it is equal on every device."""
    hands, frames, views = batch.view_mask.shape
    noise = drawn(generator, (hands, frames, views, network.config.hypotheses, 21, 2), normal=True)
    outputs: SequenceOutputs = network.forward_sequence(
        batch.crops, batch.projections, batch.view_mask, sent(noise, batch.view_mask.device), batch.levels
    )
    return outputs


@dataclass(frozen=True, eq=False)
class UstHandMethod:
    """The network with its losses.

    Args:
        network: What is trained and asked.
        weights: Of the loss terms (eq. 17).
        name: What tables call it.
    """

    network: UstHandNetwork
    weights: LossWeights = field(default_factory=LossWeights)
    name: str = "UST-Hand"

    @property
    def module(self) -> nn.Module:
        """The network."""
        return self.network

    def losses(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 17, and its terms."""
        terms = losses(run_network(self.network, batch, generator), batch)
        return terms.total(self.weights), terms.tensors()

    def predict(self, batch: Batch, generator: torch.Generator) -> Answer:
        """The refined query points, MANO's joints and mesh, and the covariance."""
        was_training = self.network.training
        self.network.eval()
        with torch.inference_mode():
            frames = run_network(self.network, batch, generator).frames
        self.network.train(was_training)
        return Answer(
            joints=frames.joints,
            valid=frames.valid,
            vertices=frames.vertices,
            mano_joints=frames.mano_joints,
            covariance_mm2=frames.covariance_mm2,
        )
