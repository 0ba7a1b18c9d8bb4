"""Typed reading of parsed JSON and TOML: every problem is noted, none is guessed around."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

_CAMERA_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_MAX_SIDE_PX = 32768
_MAX_TEXT = 500
_MAX_NAMED = 5


def camera_id_problem(camera_id: object) -> str | None:
    """Say what is wrong with a camera id, which also names files and addresses; None if nothing is."""
    if isinstance(camera_id, str) and _CAMERA_ID.fullmatch(camera_id):
        return None
    return f"id {reprlib.repr(camera_id)} cannot be used; give 1 to 64 letters, digits, '_', '-' or '.' as text"


def name_keys(keys: Sequence[str]) -> str:
    """Name some keys of a file for a message: "key 'a' is", or "keys 'a', 'b', ... are"."""
    names = ", ".join(map(reprlib.repr, keys[:_MAX_NAMED])) + (", ..." if len(keys) > _MAX_NAMED else "")
    return f"key {names} is" if len(keys) == 1 else f"keys {names} are"


class Fields:
    """One mapping of a parsed file, read key by key.

    Args:
        mapping: What the parser made.
        problems: Reasons are appended here, for a person who can edit the file.
    """

    def __init__(self, mapping: dict[str, object], problems: list[str]) -> None:
        self._mapping = mapping
        self.problems = problems

    def refuse_unknown(self, known: Collection[str]) -> None:
        """Note keys that are not in `known`."""
        if unknown := [key for key in self._mapping if key not in known]:
            self.problems.append(f"{name_keys(unknown)} not known; the keys are {', '.join(known)}")

    def has(self, key: str) -> bool:
        """Say whether the key is there with a value."""
        return self._mapping.get(key) is not None

    def number(self, key: str) -> float | None:
        """Read a finite number; None, with a note, if it is something else."""
        if not self._present(key):
            return None
        return self._number(self._mapping[key], key)

    def count(self, key: str) -> int | None:
        """Read a whole number of pixels; None, with a note, if it is something else."""
        return self._side(self._mapping[key], key) if self._present(key) else None

    def size(self, key: str) -> tuple[int, int] | None:
        """Read `[width, height]` in pixels; None, with a note, if it is something else."""
        if not self._present(key):
            return None
        value = self._mapping[key]
        if not isinstance(value, list) or len(value) != 2:
            self.problems.append(f"{key} is {reprlib.repr(value)}; give [width, height] in pixels")
            return None
        width, height = (self._side(side, f"{key}[{i}]") for i, side in enumerate(value))
        return None if width is None or height is None else (width, height)

    def text(self, key: str, choices: Collection[str] = ()) -> str | None:
        """Read text, one of `choices` if there are any; None, with a note, if it is something else."""
        if not self._present(key):
            return None
        value = self._mapping[key]
        if choices and not (isinstance(value, str) and value in choices):
            self.problems.append(f"{key} is {reprlib.repr(value)}; give {' or '.join(map(repr, choices))}")
        elif not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
            self.problems.append(f"{key} is {reprlib.repr(value)}; give up to {_MAX_TEXT} printable characters as text")
        else:
            return value
        return None

    def in_metres(self) -> None:
        """Note `units` that are not metres."""
        if self._present("units") and (value := self._mapping["units"]) != "m":
            self.problems.append(
                f"units is {reprlib.repr(value)}; give 'm', with the translations of all cameras in metres"
            )

    def flag(self, key: str, default: bool) -> bool:
        """Read true or false."""
        value = self._mapping.get(key, default)
        if isinstance(value, bool):
            return value
        self.problems.append(f"{key} is {reprlib.repr(value)}; give true or false")
        return default

    def array(self, key: str, *shapes: tuple[int, ...]) -> NDArray[np.float64] | None:
        """Read nested lists of finite numbers that have one of the shapes; None, with notes, if they do not."""
        if not self._present(key):
            return None
        value = self._mapping[key]
        if _shape(value) not in shapes:
            wanted = " or ".join("x".join(map(str, shape)) for shape in shapes)
            self.problems.append(f"{key} is {reprlib.repr(value)}; give {wanted} numbers")
            return None
        rows = value if isinstance(value, list) else []
        flat = [
            (f"{key}[{i}][{j}]", number)
            for i, row in enumerate(rows)
            if isinstance(row, list)
            for j, number in enumerate(row)
        ] or [(f"{key}[{i}]", number) for i, number in enumerate(rows)]
        numbers = [self._number(number, where) for where, number in flat]
        found = [number for number in numbers if number is not None]
        return np.array(found).reshape(_shape(value) or ()) if len(found) == len(numbers) else None

    def _present(self, key: str) -> bool:
        if key not in self._mapping:
            self.problems.append(f"{key} is missing; add it")
        return key in self._mapping

    def _number(self, value: object, where: str) -> float | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            remedy = "write it without quotes" if isinstance(value, str) else "give one"
            self.problems.append(f"{where} is {reprlib.repr(value)}, which is no number; {remedy}")
            return None
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.problems.append(f"{where} is {reprlib.repr(value)}, which is not finite; give a finite number")
            return None
        return number

    def _side(self, value: object, where: str) -> int | None:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_SIDE_PX:
            self.problems.append(
                f"{where} is {reprlib.repr(value)}; give a whole number of pixels, 1 to {_MAX_SIDE_PX}"
            )
            return None
        return value


def _shape(value: object) -> tuple[int, ...] | None:
    """Shape of a list of numbers or of equally long lists of numbers; None if it is neither."""
    if not isinstance(value, list) or not value:
        return None
    if not any(isinstance(row, list) for row in value):
        return (len(value),)
    lengths = {len(row) if isinstance(row, list) else -1 for row in value}
    if len(lengths) > 1 or any(isinstance(cell, list) for row in value for cell in row):
        return None
    return (len(value), lengths.pop())
