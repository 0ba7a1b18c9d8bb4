"""Which network a model file holds: read with the file, shown to people, named in messages."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from typing import Any, Final, cast

from engine.errors import EngineError

CARD_KEY: Final = "usthand.card"
"""Key of the card in the metadata of an ONNX file."""

SCHEMA: Final = "usthand.model/1"
"""What this version reads and writes."""

_FAMILY: Final = "usthand.model/"
_MAX_CARD_CHARACTERS: Final = 1_000_000
# Smallest and largest value of each size: beyond them a file is wrong, or would not fit any machine.
_RANGES: Final = {
    "input_px": (32, 1024),
    "hypotheses": (1, 4096),
    "blocks": (0, 64),
    "past": (0, 64),
    "channels": (1, 4096),
    "lookahead": (0, 64),
}
_SHA256_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model file says of itself.

    Args:
        model_id: Name and short digest of the weights, the `model_id` of messages.
        network: Which configuration: `lite`, `resnet34`.
        backbone: Its image encoder.
        input_px: Side of a crop, pixels; the network's S.
        hypotheses: Random samples of each view's joints; M.
        blocks: Point transformer blocks; K.
        past: Frames that the state holds; P.
        channels: Width of the state; D.
        lookahead: Frames that an answer waits for; a file that streams has 0.
        hand_model: Name of the hand model that it was made with.
        hand_model_sha256: Its digest, `HandModel.sha256`.
        training: What it learnt from: data, labels, steps.
        metrics: What it reaches: name to figure or to a map of figures.
        commit: Version of the code that exported it.
        created: Day of the export, `YYYY-MM-DD`.
        config: All settings of the network.
        notes: A remark for people.
        schema: Version of these fields.
    """

    model_id: str
    network: str
    backbone: str
    input_px: int
    hypotheses: int
    blocks: int
    past: int
    channels: int
    lookahead: int
    hand_model: str
    hand_model_sha256: str
    training: dict[str, Any]
    metrics: dict[str, Any]
    commit: str
    created: str
    config: dict[str, Any]
    notes: str = ""
    schema: str = field(default=SCHEMA)

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise EngineError(f"model card: {name} is {value}; it must lie in {low}..{high}")
        if self.input_px % 32:
            raise EngineError(f"model card: input_px is {self.input_px}; it must be a multiple of 32")
        for name in ("model_id", "network", "hand_model"):
            if not getattr(self, name).strip():
                raise EngineError(f"model card: {name} is empty; name it")
        digest = self.hand_model_sha256
        if len(digest) != _SHA256_CHARACTERS or set(digest) - set("0123456789abcdef"):
            raise EngineError(f"model card: hand_model_sha256 is {digest!r}; it must be 64 hexadecimal digits")
        try:
            date.fromisoformat(self.created)
        except ValueError as error:
            raise EngineError(f"model card: created is {self.created!r}; it must be a date, YYYY-MM-DD") from error

    def to_metadata(self) -> dict[str, str]:
        """Return the entry that goes into a file's metadata.

        Raises:
            EngineError: If training, metrics or config hold what JSON cannot.
        """
        try:
            text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise EngineError(f"model card of {self.model_id}: cannot be written as JSON ({error})") from error
        return {CARD_KEY: text}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], source: str) -> ModelCard:
        """Read a card from a file's metadata.

        Args:
            metadata: The file's metadata.
            source: Name of the file, for errors.

        Returns:
            The card.

        Raises:
            EngineError: If there is none, or it is not one of this version.
        """
        if CARD_KEY not in metadata:
            raise EngineError(f"{source}: is no UST-Hand model; make one with `usthand export`")
        values = _parsed(metadata[CARD_KEY], source)
        schema = values.get("schema")
        if schema != SCHEMA:
            if isinstance(schema, str) and schema.startswith(_FAMILY):
                raise EngineError(f"{source}: {schema} needs a newer usthand; this one reads {SCHEMA}")
            raise EngineError(f"{source}: its model card has the schema {schema!r}; this usthand reads {SCHEMA}")
        known = {entry.name: entry for entry in fields(cls)}
        missing = sorted(set(known) - set(values))
        if missing:
            raise EngineError(f"{source}: its model card lacks {', '.join(missing)}; export the model again")
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise EngineError(f"{source}: its model card has {unknown[0]!r}, which {SCHEMA} has not; export it again")
        for name, entry in known.items():
            wanted = cast(str, entry.type).partition("[")[0]
            if type(values[name]).__name__ != wanted:
                raise EngineError(
                    f"{source}: its model card has {name} {values[name]!r:.80}; it must be {_KINDS[wanted]}; "
                    "export the model again"
                )
        try:
            return cls(**values)
        except EngineError as error:
            raise EngineError(f"{source}: {error}") from error


_KINDS: Final = {"str": "a text", "int": "a whole number", "dict": "a map"}


def _parsed(text: str, source: str) -> dict[str, Any]:
    """The card's JSON as a map."""
    if len(text) > _MAX_CARD_CHARACTERS:
        raise EngineError(f"{source}: its model card has {len(text)} characters; export the model again")
    try:
        values = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{source}: its model card is no JSON ({error}); export the model again") from error
    if not isinstance(values, dict):
        raise EngineError(f"{source}: its model card is no map; export the model again")
    return values


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON's")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value
