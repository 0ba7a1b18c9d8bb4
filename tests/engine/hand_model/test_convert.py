"""Conversion of made-up pickles in MANO's layout: no MANO file is here, and none is needed."""

from __future__ import annotations

import os
import pickle
import struct
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.hand_model.convert import MANO_TIP_VERTEX_IDS, ForbiddenGlobalError, convert_mano_pickle
from engine.hand_model.model import MANO_PARENTS

VERTICES = 778


class Stateful:
    """A class of some library, as far as a pickle knows it: a name and a state."""

    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


@pytest.fixture
def fake_libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, type[Stateful]]]:
    """Classes that pickle under the names of scipy's and chumpy's, gone before the file is read."""
    classes = {}
    with monkeypatch.context() as patch:
        for module, name in (
            ("scipy.sparse.csc", "csc_matrix"),
            ("scipy.sparse._csr", "csr_matrix"),
            ("scipy.sparse.coo", "coo_matrix"),
            ("chumpy.ch", "Ch"),
            ("chumpy.reordering", "Select"),
        ):
            parts = module.split(".")
            for depth in range(1, len(parts) + 1):
                path = ".".join(parts[:depth])
                patch.setitem(sys.modules, path, types.ModuleType(path))
            cls = type(name, (Stateful,), {"__module__": module})
            setattr(sys.modules[module], name, cls)
            classes[name] = cls
        yield classes


@pytest.fixture
def content() -> dict[str, Any]:
    """A made-up hand of 778 random points with wrist, fingers and side where MANO's are."""
    rng = np.random.default_rng(0)
    template = rng.normal(0.0, 0.01, size=(VERTICES, 3))
    regressor = np.zeros((16, VERTICES))
    for joint in range(16):
        regressor[joint, 10 * joint : 10 * joint + 10] = 0.1
    template[:10, 0] += 0.09
    weights = rng.random((VERTICES, 16))
    table = np.stack([np.array([4294967295, *MANO_PARENTS[1:]]), np.arange(16)]).astype(np.uint32)
    return {
        "v_template": template,
        "f": rng.integers(0, VERTICES, size=(1538, 3)).astype(np.uint32),
        "shapedirs": rng.normal(0.0, 1e-3, size=(VERTICES, 3, 10)),
        "posedirs": rng.normal(0.0, 1e-3, size=(VERTICES, 3, 135)),
        "J_regressor": regressor,
        "kintree_table": table,
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "hands_components": np.eye(45),
        "hands_mean": rng.normal(size=45),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def write(path: Path, content: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def sparse_state(dense: np.ndarray, name: str) -> dict[str, Any]:
    row, column = np.nonzero(dense)
    common = {"_shape": dense.shape, "maxprint": 50, "data": dense[row, column]}
    if name == "coo_matrix":
        return {**common, "row": row.astype(np.int32), "col": column.astype(np.int32)}
    order = np.lexsort((row, column) if name == "csc_matrix" else (column, row))
    major, minor = (column, row) if name == "csc_matrix" else (row, column)
    size = dense.shape[1] if name == "csc_matrix" else dense.shape[0]
    return {
        **common,
        "data": dense[row, column][order],
        "indices": minor[order].astype(np.int32),
        "indptr": np.concatenate([[0], np.cumsum(np.bincount(major, minlength=size))]).astype(np.int32),
    }


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_plain_pickle_becomes_a_model(content: dict[str, Any], tmp_path: Path, protocol: int) -> None:
    model = convert_mano_pickle(write(tmp_path / "m.pkl", content, protocol), tmp_path / "new" / "m.npz")
    assert model.side == "right"
    np.testing.assert_allclose(model.template_vertices, content["v_template"], atol=1e-8)
    np.testing.assert_allclose(model.pose_directions, content["posedirs"], atol=1e-9)
    np.testing.assert_array_equal(model.faces, content["f"])
    assert tuple(model.parents) == MANO_PARENTS
    assert tuple(model.tip_vertex_ids) == MANO_TIP_VERTEX_IDS
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["m.npz"]


@pytest.mark.parametrize("sparse", ["csc_matrix", "csr_matrix", "coo_matrix"])
@pytest.mark.parametrize("protocol", [0, 2])
def test_chumpy_and_scipy_are_read_without_them(
    content: dict[str, Any], fake_libraries: dict[str, type[Stateful]], tmp_path: Path, sparse: str, protocol: int
) -> None:
    dense = dict(content)
    ch, select = fake_libraries["Ch"], fake_libraries["Select"]
    shapes = content["shapedirs"]
    content["shapedirs"] = select(
        a=ch(x=np.concatenate([shapes, shapes], axis=2), _dirty_vars={"x"}),
        idxs=np.arange(VERTICES * 3 * 20).reshape(VERTICES, 3, 20)[:, :, :10].ravel(),
        preferred_shape=(VERTICES, 3, 10),
        _itr=None,
    )
    content["v_template"] = ch(x=content["v_template"])
    content["J_regressor"] = fake_libraries[sparse](**sparse_state(content["J_regressor"], sparse))
    source = write(tmp_path / "m.pkl", content, protocol)
    for name in [name for name in sys.modules if name.split(".")[0] == "chumpy"]:
        del sys.modules[name]
    model = convert_mano_pickle(source, tmp_path / "m.npz")
    np.testing.assert_allclose(model.shape_directions, dense["shapedirs"], atol=1e-9)
    np.testing.assert_allclose(model.template_vertices, dense["v_template"], atol=1e-8)
    np.testing.assert_allclose(model.joint_regressor, dense["J_regressor"], atol=1e-7)


def test_text_and_arrays_of_python_2(tmp_path: Path, content: dict[str, Any]) -> None:
    # Python 2 writes str as bytes without an encoding, and numpy 1 under its old module.
    blob = pickle.dumps(content, protocol=2)
    assert b"numpy._core.multiarray" in blob or b"numpy.core.multiarray" in blob
    (tmp_path / "m.pkl").write_bytes(blob.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    convert_mano_pickle(tmp_path / "m.pkl", tmp_path / "m.npz")


class Malice:
    def __init__(self, function: object, *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(
    content: dict[str, Any], tmp_path: Path, protocol: int
) -> None:
    witness = tmp_path / "it-ran"
    content["posedirs"] = Malice(os.system, f"touch {witness}")
    source = write(tmp_path / "evil.pkl", content, protocol)
    with pytest.raises(ForbiddenGlobalError, match=r"evil\.pkl: names (posix|nt)\.system") as caught:
        convert_mano_pickle(source, tmp_path / "m.npz")
    assert "nothing of it was run" in str(caught.value)
    assert not witness.exists()
    assert not (tmp_path / "m.npz").exists()
    # The same file does run in an open reader: the test would see it.
    pickle.loads(source.read_bytes())  # noqa: S301
    assert witness.exists()


@pytest.mark.parametrize(
    "name",
    [
        "builtins.eval",
        "builtins.getattr",
        "builtins.__import__",
        "__builtin__.exec",
        "os.system",
        "subprocess.Popen",
        "numpy.load",
        "numpy.core.multiarray.fromfile",
        "numpy.f2py.os.system",
        "copyreg.__reduce_ex__",
        "chumpy.utils.os",
        "scipy.sparse.csc.os",
        "scipy.sparse.csc.csr_matrix",
        "importlib.import_module",
        "operator.attrgetter",
        "functools.partial",
        "collections.OrderedDict",
    ],
)
@pytest.mark.parametrize("stacked", [False, True])
def test_everything_off_the_list_is_refused_by_name(tmp_path: Path, name: str, stacked: bool) -> None:
    module, _, attribute = name.rpartition(".")
    if stacked:
        parts = [b"\x80\x04"]
        for text in (module, attribute):
            parts.append(b"\x8c" + struct.pack("<B", len(text)) + text.encode())
        blob = b"".join([*parts, b"\x93."])
    else:
        blob = b"c" + module.encode() + b"\n" + attribute.encode() + b"\n."
    (tmp_path / "m.pkl").write_bytes(blob)
    with pytest.raises(ForbiddenGlobalError, match=attribute):
        convert_mano_pickle(tmp_path / "m.pkl", tmp_path / "m.npz")


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        # An array that claims to be enormous, and one of objects.
        (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I1000000000000\ntS'b'\ntR.", "not empty"),
        (b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR.", "only numbers"),
        (b"c_codecs\nencode\n(S'a'\nS'zlib'\ntR.", "only latin1"),
        (b"ccopy_reg\n_reconstructor\n(cnumpy\ndtype\nc__builtin__\nobject\nNtR.", "not a class of arrays"),
        (b"S'id'\nQ.", "persistent"),
        (b"\x82\x01.", ""),
        # State set on one of the reader's own functions or classes.
        (b"cnumpy\ndtype\n}S'__defaults__'\nNsb.", "state"),
        (b"cnumpy\ndtype\n(N}S'__defaults__'\nNstb.", "state"),
        (b"cchumpy.ch\nCh\n(N}S'__setstate__'\nNstb.", ""),
    ],
)
def test_tricks_with_what_is_on_the_list_are_refused(tmp_path: Path, blob: bytes, reason: str) -> None:
    (tmp_path / "m.pkl").write_bytes(blob)
    with pytest.raises(ValueError, match=rf"m\.pkl: not a whole MANO pickle .*{reason}"):
        convert_mano_pickle(tmp_path / "m.pkl", tmp_path / "m.npz")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(content: dict[str, Any], tmp_path: Path, share: float) -> None:
    blob = pickle.dumps(content, protocol=2)
    (tmp_path / "cut.pkl").write_bytes(blob[: int(share * len(blob))])
    with pytest.raises(ValueError, match=r"cut\.pkl: not a whole MANO pickle"):
        convert_mano_pickle(tmp_path / "cut.pkl", tmp_path / "m.npz")
    assert not (tmp_path / "m.npz").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("v_template", np.zeros((6890, 3)), r"v_template has shape \(6890, 3\)"),
        ("shapedirs", np.zeros((778, 3, 300)), r"shapedirs has shape"),
        ("posedirs", np.zeros((778, 3, 207)), r"posedirs has shape"),
        ("weights", np.full((778, 16), np.inf), "not finite"),
        ("weights", np.ones((778, 16)), "miss a sum of 1"),
        ("weights", "none", "is a str, not an array"),
        ("kintree_table", np.stack([np.arange(16)] * 2), "MANO's tree"),
        ("hands_mean", np.zeros(6), "hands_mean has shape"),
    ],
)
def test_wrong_contents_are_named(
    content: dict[str, Any], tmp_path: Path, key: str, value: object, message: str
) -> None:
    content[key] = value
    with pytest.raises(ValueError, match=message):
        convert_mano_pickle(write(tmp_path / "m.pkl", content), tmp_path / "m.npz")
    assert not list(tmp_path.glob("*.npz"))


def test_missing_contents_are_named(content: dict[str, Any], tmp_path: Path) -> None:
    del content["posedirs"], content["weights"]
    with pytest.raises(ValueError, match="lacks posedirs, weights"):
        convert_mano_pickle(write(tmp_path / "m.pkl", content), tmp_path / "m.npz")
    with pytest.raises(ValueError, match="holds a list"):
        convert_mano_pickle(write(tmp_path / "m.pkl", [1, 2]), tmp_path / "m.npz")


def test_a_damaged_sparse_matrix_is_refused(
    content: dict[str, Any], fake_libraries: dict[str, type[Stateful]], tmp_path: Path
) -> None:
    for change in (
        {"indptr": np.array([0, 1], dtype=np.int32)},
        {"indices": np.array([99_999_999], dtype=np.int32)},
        {"_shape": (16, 10**9)},
        {"data": np.zeros(3)},
    ):
        state = sparse_state(content["J_regressor"], "csc_matrix") | change
        wrong = dict(content, J_regressor=fake_libraries["csc_matrix"](**state))
        with pytest.raises(ValueError, match="J_regressor is a damaged csc"):
            convert_mano_pickle(write(tmp_path / "m.pkl", wrong), tmp_path / "m.npz")


def test_a_left_hand_is_sent_back_for_the_right_one(content: dict[str, Any], tmp_path: Path) -> None:
    content["v_template"] = content["v_template"] * [-1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match=r"a left hand; convert MANO_RIGHT\.pkl"):
        convert_mano_pickle(write(tmp_path / "MANO_LEFT.pkl", content), tmp_path / "m.npz")
