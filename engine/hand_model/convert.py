"""Convert a user's licensed MANO pickle to the project's `.npz`, running no code from it.

A pickle is a program. This reader executes only the part of it that builds plain containers and numeric arrays: every
global that the file names must stand in a short list, and each entry of that list is answered by code of this module,
never by the function or class that the file asked for. scipy and chumpy are not needed: their classes become records of
their state.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from engine.hand_model.model import HandModel, Side

MANO_TIP_VERTEX_IDS: Final = (744, 320, 443, 554, 671)
"""Thumb, index, middle, ring and little fingertip of MANO's 778 vertices, as in smplx's table (manopth's differs)."""

MAX_BYTES: Final = 256 * 1024 * 1024
_MANO_VERTICES: Final = 778
_MODULE_RENAMES: Final = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_SPARSE: Final = re.compile(r"scipy\.sparse\._?(csc|csr|coo)")
_CHUMPY: Final = frozenset({("chumpy", "Ch"), ("chumpy.ch", "Ch"), ("chumpy.reordering", "Select")})
_NUMERIC_DTYPE: Final = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248])")


class ForbiddenGlobalError(ValueError):
    """A pickle names something outside the allow-list; it was refused before anything ran."""


class _Record:
    """Stands in for an object of a library: keeps its state and does nothing."""

    kind = "object"

    state: dict[str, Any]

    def __new__(cls, *_: object) -> Self:
        # Not in __init__: pickles make objects without it.
        record = super().__new__(cls)
        record.state = {}
        return record

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) == 2 and state[0] is None:
            state = state[1]
        if isinstance(state, dict):
            self.state = {str(key): value for key, value in state.items()}


class _Answer:
    """A function that a pickle may call, and may not write to: functions proper take attributes from a pickle."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError(f"a state of type {type(state).__name__} for a function")


class _RestrictedUnpickler(pickle.Unpickler):
    """Builds containers and numeric arrays; refuses every other global by name.

    What it hands out takes no attributes, or is a class made for this one reading: nothing that a file writes outlives
    it.
    """

    def __init__(self, content: bytes, source: Path) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._source = source
        self._ndarray = type("NdarrayMarker", (_Record,), {"kind": "ndarray"})
        self._object = type("ObjectMarker", (_Record,), {})
        self._records: dict[tuple[str, str], type[_Record]] = {}

    def find_class(self, module: str, name: str, /) -> Any:
        """Answer a global of the file by a harmless stand-in, or refuse it."""
        module = _MODULE_RENAMES.get(module, module)
        if module.startswith("numpy.core."):
            module = "numpy._core." + module.removeprefix("numpy.core.")
        functions: dict[tuple[str, str], Callable[..., Any]] = {
            ("numpy._core.multiarray", "_reconstruct"): self._empty_array,
            ("numpy._core.multiarray", "scalar"): self._scalar,
            ("numpy._core.numeric", "_frombuffer"): self._array,
            ("numpy", "dtype"): self._dtype,
            ("_codecs", "encode"): self._encode,
            ("copyreg", "_reconstructor"): self._new_record,
            ("builtins", "set"): self._new_set,
        }
        if (module, name) in functions:
            return _Answer(functions[module, name])
        if (module, name) == ("numpy", "ndarray"):
            return self._ndarray
        if (module, name) == ("builtins", "object"):
            return self._object
        match = _SPARSE.fullmatch(module)
        if match is not None and name in (f"{match[1]}_matrix", f"{match[1]}_array"):
            return self._record(module, name, match[1])
        if (module, name) in _CHUMPY:
            return self._record(module, name, name)
        raise ForbiddenGlobalError(
            f"{self._source}: names {module}.{name}, which a MANO file has no use for; nothing of it was run. "
            "Take the file from MANO's own site, or ask whoever gave it to you"
        )

    def _record(self, module: str, name: str, kind: str) -> type[_Record]:
        return self._records.setdefault((module, name), type(name, (_Record,), {"kind": kind}))

    def _empty_array(self, subtype: object, shape: object, typecode: object) -> NDArray[np.int8]:
        if subtype is not self._ndarray or shape != (0,):
            raise pickle.UnpicklingError(f"an array starts as {shape!r} of {typecode!r}, not empty as numpy writes it")
        return np.empty(0, dtype=np.int8)

    @staticmethod
    def _dtype(spec: object, *_: object) -> np.dtype[Any]:
        if not isinstance(spec, str) or _NUMERIC_DTYPE.fullmatch(spec) is None:
            raise pickle.UnpicklingError(f"array of {spec!r}: only numbers are read")
        # A copy: the file sets its byte order next, and numpy shares one object a type.
        return np.dtype(spec, False, True)

    @staticmethod
    def _scalar(dtype: object, content: object) -> np.generic:
        if not isinstance(dtype, np.dtype) or not isinstance(content, bytes) or len(content) != dtype.itemsize:
            raise pickle.UnpicklingError("a numpy scalar is not made of a type and its bytes")
        return np.frombuffer(content, dtype=dtype)[0]  # type: ignore[no-any-return]

    @staticmethod
    def _array(content: object, dtype: object, shape: object, order: object) -> NDArray[Any]:
        if (
            not isinstance(dtype, np.dtype)
            or not isinstance(content, bytes | bytearray)
            or not isinstance(shape, tuple)
        ):
            raise pickle.UnpicklingError("a numpy array is not made of a type, a shape and its bytes")
        return np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if order == "F" else "C")

    @staticmethod
    def _encode(text: object, encoding: object = "latin1", *_: object) -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError(f"text in encoding {encoding!r}: only latin1 is read")
        return text.encode("latin1")

    @staticmethod
    def _new_record(kind: object, *_: object) -> _Record:
        if not isinstance(kind, type) or not issubclass(kind, _Record):
            raise pickle.UnpicklingError(f"cannot build {kind!r}: not a class of arrays")
        return kind()

    @staticmethod
    def _new_set(items: object = ()) -> list[Any]:
        # A list: the elements' hashes are of no interest.
        return list(items) if isinstance(items, list | tuple) else []


def convert_mano_pickle(source: Path, target: Path) -> HandModel:
    """Convert `MANO_RIGHT.pkl` to the project's `.npz`, running nothing from it.

    The fingertips become `MANO_TIP_VERTEX_IDS`, smplx's table. The left hand is the right hand mirrored: convert the
    right one only (the released left hand's shape directions have the wrong sign in x).

    Args:
        source: The pickle, as MANO's site gives it.
        target: The `.npz` to write. It is a derivative of MANO, under MANO's licence: keep it to yourself.

    Returns:
        The model as read back from `target`.

    Raises:
        ForbiddenGlobalError: If the pickle names anything but arrays; it is refused, and does not run.
        ValueError: If it is not a whole MANO right hand.
        FileNotFoundError: If there is no such file.
    """
    size = source.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{source}: {size} bytes; a MANO file has about 4 MB and at most {MAX_BYTES} are read")
    try:
        content = _RestrictedUnpickler(source.read_bytes(), source).load()
    except ForbiddenGlobalError:
        raise
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OverflowError,
        MemoryError,
        RecursionError,
    ) as error:
        raise ValueError(
            f"{source}: not a whole MANO pickle ({type(error).__name__}: {error}); download MANO_RIGHT.pkl again"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{source}: holds a {type(content).__name__}, not MANO's dictionary; give MANO_RIGHT.pkl")
    arrays = _arrays(source, {str(key): value for key, value in content.items()})
    side = _side(source, arrays["J_regressor"] @ arrays["v_template"])
    if side == "left":
        raise ValueError(
            f"{source}: a left hand; convert MANO_RIGHT.pkl, from which the left hand is mirrored "
            "(the released left hand's shape directions have the wrong sign in x)"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial.npz")
    try:
        np.savez_compressed(
            partial,
            **arrays,
            tip_vertex_ids=np.array(MANO_TIP_VERTEX_IDS, dtype=np.int32),
            side=np.array(side),
            name=np.array("mano"),
            source=np.array(f"{source.name}, converted by usthand"),
            license=np.array("MANO licence of the Max Planck Society: not for redistribution"),
        )
        HandModel.load(partial, side=side)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return HandModel.load(target, side=side)


def _arrays(source: Path, content: dict[str, Any]) -> dict[str, Any]:
    expected: dict[str, tuple[int | None, ...]] = {
        "v_template": (_MANO_VERTICES, 3),
        "f": (None, 3),
        "shapedirs": (_MANO_VERTICES, 3, 10),
        "posedirs": (_MANO_VERTICES, 3, 135),
        "J_regressor": (16, _MANO_VERTICES),
        "kintree_table": (2, 16),
        "weights": (_MANO_VERTICES, 16),
    }
    missing = [key for key in expected if key not in content]
    if missing:
        raise ValueError(f"{source}: lacks {', '.join(missing)}; give MANO_RIGHT.pkl of MANO 1.2")
    arrays: dict[str, NDArray[np.float64]] = {}
    for key, shape in expected.items():
        array = _dense(f"{source}: {key}", content[key])
        if array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape, strict=True)):
            raise ValueError(f"{source}: {key} has shape {array.shape}; a MANO hand's is {shape}")
        if not np.all(np.isfinite(array)):
            raise ValueError(f"{source}: {key} has values that are not finite; download MANO_RIGHT.pkl again")
        arrays[key] = array
    parents = arrays["kintree_table"][0].copy()
    # The root's parent is written as the largest unsigned number.
    parents[0] = -1
    mean = _dense(f"{source}: hands_mean", content["hands_mean"]) if "hands_mean" in content else np.zeros(45)
    if mean.shape != (45,):
        raise ValueError(f"{source}: hands_mean has shape {mean.shape}; a MANO hand's is (45,)")
    return {
        "v_template": arrays["v_template"].astype(np.float32),
        "faces": arrays["f"].astype(np.int32),
        "shapedirs": arrays["shapedirs"].astype(np.float32),
        "posedirs": arrays["posedirs"].astype(np.float32),
        "J_regressor": arrays["J_regressor"].astype(np.float32),
        "parents": parents.astype(np.int32),
        "weights": arrays["weights"].astype(np.float32),
        "hands_mean": mean.astype(np.float32),
    }


def _dense(what: str, value: object, depth: int = 0) -> NDArray[np.float64]:
    """Make an array of what the pickle holds: an array, or a record of a chumpy or a sparse one."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            raise ValueError(f"{what} is an array of {value.dtype}, not of numbers; give MANO_RIGHT.pkl")
        return value.astype(np.float64)
    if isinstance(value, _Record) and depth < 8:
        state = value.state
        try:
            if value.kind in ("csc", "csr", "coo"):
                return _dense_sparse(value.kind, state)
            if value.kind == "Ch":
                return _dense(what, state["x"], depth + 1)
            if value.kind == "Select":
                chosen = _dense(what, state["a"], depth + 1).ravel()[_indices(state["idxs"])]
                return chosen.reshape(state["preferred_shape"]) if "preferred_shape" in state else chosen
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"{what} is a damaged {value.kind} ({error}); download MANO_RIGHT.pkl again") from error
    raise ValueError(f"{what} is a {type(value).__name__}, not an array; give MANO_RIGHT.pkl")


def _dense_sparse(kind: str, state: dict[str, Any]) -> NDArray[np.float64]:
    rows, columns = (int(n) for n in state["_shape"] if 0 < int(n) <= 100_000)
    if rows * columns > 10_000_000:
        raise ValueError(f"shape {rows} x {columns} is larger than any of MANO's")
    data = np.asarray(state["data"], dtype=np.float64)
    if kind == "coo":
        row, column = (state["row"], state["col"]) if "row" in state else state["coords"]
        row, column = _indices(row), _indices(column)
    else:
        counts = np.diff(_indices(state["indptr"]))
        if np.any(counts < 0) or len(counts) != (columns if kind == "csc" else rows):
            raise ValueError("indptr does not fit the shape")
        major, minor = np.repeat(np.arange(len(counts)), counts), _indices(state["indices"])
        row, column = (minor, major) if kind == "csc" else (major, minor)
    if not len(row) == len(column) == len(data) or np.any(row < 0) or np.any(column < 0):
        raise ValueError("indices do not fit the values")
    dense = np.zeros((rows, columns))
    np.add.at(dense, (row, column), data)
    return dense


def _indices(values: object) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise ValueError(f"indices are of {array.dtype}")
    return array.astype(np.int64)


def _side(source: Path, joints: NDArray[np.float64]) -> Side:
    # MANO's right hand has its wrist at +x of its knuckles, the left one at -x.
    reach = float(joints[0, 0] - joints[[1, 4, 7, 10], 0].mean())
    if abs(reach) < 1e-3:
        raise ValueError(
            f"{source}: its fingers do not point along x, so that its side is unknown; give MANO_RIGHT.pkl"
        )
    return "right" if reach > 0.0 else "left"
