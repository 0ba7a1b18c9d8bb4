"""The model card: what goes in comes out, and what is no card is refused with its reason."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from engine.errors import EngineError
from engine.model_card import CARD_KEY, ModelCard

CARD = ModelCard(
    model_id="lite-0123abcd",
    network="lite",
    backbone="mediapipe-lite",
    input_px=224,
    hypotheses=16,
    blocks=4,
    past=4,
    channels=96,
    lookahead=0,
    hand_model="open-hand",
    hand_model_sha256="0" * 64,
    training={"data": "synthetic", "labels": "pseudo 2D", "steps": 1200},
    metrics={"mpjpe_mm": 7.5, "by_views": {"2": 9.1}},
    commit="abc",
    created="2026-02-28",
    config={"name": "lite", "use_gcn": True},
    notes="für alle",
)


def metadata(**changes: object) -> dict[str, str]:
    """The card's entry with fields changed; None takes a field out."""
    values = {**asdict(CARD), **changes}
    return {CARD_KEY: json.dumps({name: value for name, value in values.items() if value is not None})}


def test_what_is_written_is_read() -> None:
    entries = CARD.to_metadata()
    assert list(entries) == ["usthand.card"]
    assert json.loads(entries[CARD_KEY])["schema"] == "usthand.model/1"
    assert ModelCard.from_metadata(entries, "a.onnx") == CARD
    assert ModelCard.from_metadata({**entries, "other": "x"}, "a.onnx") == CARD


def test_equal_cards_are_equal_text() -> None:
    turned = replace(CARD, training=dict(reversed(CARD.training.items())))
    assert turned.to_metadata() == CARD.to_metadata()


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({}, ("no UST-Hand model", "usthand export")),
        ({"author": "somebody"}, ("no UST-Hand model",)),
        ({CARD_KEY: "{"}, ("no JSON",)),
        ({CARD_KEY: ""}, ("no JSON",)),
        ({CARD_KEY: "[" * 100_000}, ("no JSON",)),
        ({CARD_KEY: "[1]"}, ("no map",)),
        ({CARD_KEY: '"' + "x" * 1_000_001 + '"'}, ("characters",)),
        (metadata(schema="usthand.model/2"), ("usthand.model/2", "needs a newer usthand")),
        (metadata(schema="somebody.card/1"), ("somebody.card/1", "usthand.model/1")),
        (metadata(schema=None), ("None", "usthand.model/1")),
        (metadata(schema=3), ("3", "usthand.model/1")),
        (metadata(blocks=None), ("lacks blocks",)),
        (metadata(blocks=None, config=None), ("lacks blocks, config",)),
        (metadata(colour="red"), ("'colour'",)),
        (metadata(blocks="4"), ("blocks", "'4'", "whole number")),
        (metadata(blocks=4.0), ("blocks", "4.0", "whole number")),
        (metadata(blocks=True), ("blocks", "True", "whole number")),
        (metadata(network=7), ("network", "a text")),
        (metadata(config=[]), ("config", "a map")),
        (metadata(input_px=100), ("input_px", "100", "multiple of 32")),
        (metadata(input_px=-32), ("input_px", "-32")),
        (metadata(input_px=32768), ("input_px", "32768")),
        (metadata(hypotheses=0), ("hypotheses", "0")),
        (metadata(past=-1), ("past", "-1")),
        (metadata(channels=10**30), ("channels",)),
        (metadata(model_id="  "), ("model_id",)),
        (metadata(hand_model_sha256="12"), ("hand_model_sha256", "64")),
        (metadata(hand_model_sha256="G" * 64), ("hand_model_sha256",)),
        (metadata(created="yesterday"), ("created", "yesterday")),
        ({CARD_KEY: metadata()[CARD_KEY].replace("7.5", "NaN")}, ("no JSON", "NaN")),
        ({CARD_KEY: metadata()[CARD_KEY].replace("7.5", "1e999")}, ("no JSON", "1e999")),
    ],
)
def test_what_is_no_card_is_refused_with_the_file_and_the_reason(
    entries: dict[str, str], words: tuple[str, ...]
) -> None:
    with pytest.raises(EngineError) as refused:
        ModelCard.from_metadata(entries, "some.onnx")
    line = str(refused.value)
    assert line.startswith("some.onnx: ")
    assert len(line) < 300
    for word in words:
        assert word in line


def test_a_card_that_json_cannot_hold_is_not_written() -> None:
    with pytest.raises(EngineError, match="lite-0123abcd"):
        replace(CARD, metrics={"mpjpe_mm": float("nan")}).to_metadata()
    with pytest.raises(EngineError, match="lite-0123abcd"):
        replace(CARD, training={"data": object()}).to_metadata()


def test_reading_and_running_needs_neither_torch_nor_onnx() -> None:
    code = (
        "import sys; import engine.model_card, engine.backends.onnxruntime_backend, engine.backends.stage_times;"
        "print(sorted({'torch', 'onnx', 'onnxscript'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
