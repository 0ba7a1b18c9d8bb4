"""An engine is what was asked for, or an error that says what to ask for instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import EngineError
from engine.factory import open_engine
from engine.hand_model import HandModel


@pytest.mark.parametrize("backend", ["auto", "onnxruntime"])
def test_the_default_engine_opens(backend: str) -> None:
    engine = open_engine(backend=backend)
    assert engine.card.kind == "detector"
    assert engine.card.hand_model == HandModel.load().name
    assert engine.hand_model("left").side == "left"
    assert engine.hand_model("right").side == "right"
    engine.close()


def test_an_unknown_engine_names_those_that_there_are() -> None:
    with pytest.raises(EngineError, match=r"'resnet34'.*detector"):
        open_engine("resnet34")


def test_an_unknown_backend_names_those_that_there_are() -> None:
    with pytest.raises(EngineError, match=r"'cuda'.*auto, onnxruntime, tensorrt, torch"):
        open_engine(backend="cuda")


@pytest.mark.parametrize("backend", ["tensorrt", "torch"])
def test_a_backend_that_does_not_run_it_is_not_replaced_silently(backend: str) -> None:
    with pytest.raises(EngineError, match=f"'{backend}' does not run.*use auto or onnxruntime"):
        open_engine(backend=backend)


def test_a_hand_model_that_cannot_be_read_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.npz"):
        open_engine(hand_model=tmp_path / "absent.npz")
    text = tmp_path / "text.npz"
    text.write_text("no hand")
    with pytest.raises(ValueError, match=r"text\.npz.*usthand hand-model convert"):
        open_engine(hand_model=text)


def test_a_left_hand_model_serves_both_sides(tmp_path: Path) -> None:
    left = HandModel.load(side="left")
    path = tmp_path / "left.npz"
    np.savez(
        path,
        name="my left hand",
        side="left",
        v_template=left.template_vertices,
        faces=left.faces,
        shapedirs=left.shape_directions,
        posedirs=left.pose_directions,
        J_regressor=left.joint_regressor,
        parents=left.parents,
        weights=left.skinning_weights,
        tip_vertex_ids=left.tip_vertex_ids,
    )
    engine = open_engine(hand_model=path)
    assert engine.card.hand_model == "my left hand"
    np.testing.assert_allclose(engine.hand_model("left").template_vertices, left.template_vertices)
    np.testing.assert_allclose(engine.hand_model("right").template_vertices, left.mirrored().template_vertices)
    engine.close()
