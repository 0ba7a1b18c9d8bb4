"""The card of a network: what it is, what it learnt from, and what it reaches."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from engine.code_version import code_version
from engine.hand_model.model import HandModel
from engine.model_card import ModelCard
from engine.network.network import UstHandNetwork
from engine.network.weights import weight_names, weights_digest


def make_card(
    network: UstHandNetwork,
    hand_model: HandModel,
    *,
    name: str,
    training: Mapping[str, Any],
    metrics: Mapping[str, Any],
    notes: str = "",
) -> ModelCard:
    """Write the card of a network.

    Args:
        network: With the weights that will be exported.
        hand_model: What it was built with.
        name: What the model is called; its id is this and a digest of the weights.
        training: What it learnt from.
        metrics: What it reaches.
        notes: A remark for people.

    Returns:
        The card, of today or of SOURCE_DATE_EPOCH where that is set.
    """
    config = network.config
    names = weight_names(network)
    digest = weights_digest({key: tensor for key, tensor in network.state_dict().items() if key in names})
    return ModelCard(
        model_id=f"{name}-{digest[:8]}",
        network=config.name,
        backbone=config.backbone,
        input_px=config.input_px,
        hypotheses=config.hypotheses,
        blocks=config.blocks,
        past=config.past,
        channels=config.point_channels,
        lookahead=config.lookahead,
        hand_model=hand_model.name,
        hand_model_sha256=hand_model.sha256,
        training=dict(training),
        metrics=dict(metrics),
        commit=code_version(),
        created=_today().isoformat(),
        config=config.to_dict(),
        notes=notes,
    )


def _today() -> date:
    """Today in UTC; SOURCE_DATE_EPOCH, which makes builds reproducible, stands for it where it is set."""
    epoch_s = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch_s), UTC).date() if epoch_s else datetime.now(UTC).date()
