"""An engine is what was asked for, or an error that says what to ask for instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import EngineError
from engine.factory import open_engine
from engine.hand_model import HandModel
from tests.engine.tracker.support import Oracle, card


@pytest.mark.parametrize("backend", ["auto", "onnxruntime"])
def test_the_default_engine_opens(backend: str) -> None:
    engine = open_engine(backend=backend)
    assert engine.card.kind == "detector"
    assert engine.card.hand_model == HandModel.load().name
    assert engine.hand_model("left").side == "left"
    assert engine.hand_model("right").side == "right"
    engine.close()


def test_an_unknown_engine_names_those_that_there_are() -> None:
    with pytest.raises(EngineError, match=r"'resnet34'.*detector.*path of an exported network"):
        open_engine("resnet34")


def test_an_unknown_backend_names_those_that_there_are() -> None:
    with pytest.raises(EngineError, match=r"'cuda'.*auto, onnxruntime, tensorrt, torch"):
        open_engine(backend="cuda")


@pytest.mark.parametrize("backend", ["tensorrt", "torch"])
def test_a_backend_that_does_not_run_it_is_not_replaced_silently(backend: str) -> None:
    with pytest.raises(EngineError, match=f"'{backend}' does not run.*use auto or onnxruntime"):
        open_engine(backend=backend)


class _Opened:
    """Stands in for `engine.backends.open_runtime`, with an oracle for what is in the file."""

    def __init__(self) -> None:
        self.asked: tuple[Path, str, int | None, int] | None = None
        self.runtime = Oracle()

    def __call__(self, path: Path, backend: str, hand_model: HandModel, *, views: int | None, hands: int) -> Oracle:
        assert hand_model.side == "right"
        self.asked = path, backend, views, hands
        return self.runtime


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> _Opened:
    stand_in = _Opened()
    monkeypatch.setattr("engine.backends.open_runtime", stand_in)
    return stand_in


@pytest.mark.parametrize("name", ["lite.onnx", "weights-of-monday"])
def test_a_file_opens_the_network_engine(name: str, opened: _Opened, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"a network")
    engine = open_engine(str(path), backend="torch", views=4, max_hands=3)
    assert opened.asked == (path, "torch", 4, 3)
    assert engine.card.kind == "network"
    assert engine.card.model_id == opened.runtime.card.model_id
    engine.close()
    assert opened.runtime.closed


def test_an_exported_network_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"absent\.onnx: there is no such file.*usthand export.*detector"):
        open_engine(str(tmp_path / "absent.onnx"))


def test_tensorrt_is_refused_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "lite.onnx"
    path.write_bytes(b"a network")
    with pytest.raises(EngineError, match="tensorrt"):
        open_engine(str(path), backend="tensorrt")


def test_a_network_of_another_hand_model_is_closed_again(opened: _Opened, tmp_path: Path) -> None:
    path = tmp_path / "lite.onnx"
    path.write_bytes(b"a network")
    opened.runtime = Oracle(card=card(hand_model_sha256="0" * 64))
    with pytest.raises(EngineError, match="export the network again with that hand model"):
        open_engine(str(path))
    assert opened.runtime.closed


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
