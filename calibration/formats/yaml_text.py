"""YAML that anybody may have sent: plain values only, bounded in depth and number, with no tags and no aliases."""

from __future__ import annotations

import re
import reprlib
from typing import Any, Final

import yaml

from calibration.errors import CalibrationError
from calibration.formats.nesting import MAX_DEPTH

MAX_NODES: Final = 50_000

# libyaml where PyYAML was built with it: the same events, ten times faster.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_CORE = "tag:yaml.org,2002:"
_TAGS = frozenset(_CORE + name for name in ("map", "seq", "str", "int", "float", "opencv-matrix", "opencv-nd-matrix"))
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = {".nan": "nan", ".inf": "inf", "+.inf": "inf", "-.inf": "-inf"}
_WORDS: dict[str, object] = {"": None, "~": None, "null": None, "true": True, "false": False}


def parse_yaml(text: str) -> object:
    """Read one YAML document into dicts, lists, text, numbers, booleans and None.

    OpenCV's `%YAML:1.0` head and its `!!opencv-matrix` are taken for what they are: a head, and a mapping. Keys are
    text, also where they look like numbers.

    Raises:
        CalibrationError: If it is not YAML, or more than plain values.
    """
    if text.startswith("%YAML:"):
        text = text.partition("\n")[2]
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.add(event)
    except yaml.YAMLError as error:
        raise _refused(f"not YAML: {' '.join(str(error).split())[:300]}; export it again") from error
    return builder.document


class _Builder:
    """Puts a document together from a parser's events without recursion: the parsers' own do recur."""

    def __init__(self) -> None:
        self.document: object = None
        self._open: list[tuple[dict[str, object] | list[object], str | None]] = []
        self._nodes = self._documents = 0

    def add(self, event: Any) -> None:
        """Take one event."""
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise _refused("the file holds more than one YAML document; give one")
            case yaml.AliasEvent():
                raise _refused(f"the alias *{event.anchor} stands for values given elsewhere; write them out")
            case yaml.ScalarEvent():
                self._check(event)
                self._put(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._check(event)
                made: dict[str, object] | list[object] = {} if isinstance(event, yaml.MappingStartEvent) else []
                self._attach(made)
                self._open.append((made, None))
                if len(self._open) > MAX_DEPTH:
                    raise _refused(f"the file nests deeper than {MAX_DEPTH} levels; is this another file?")
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._open.pop()

    def _check(self, event: Any) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _refused(f"the file holds more than {MAX_NODES} values; a calibration has a few hundred")
        if event.tag is not None and event.tag not in _TAGS and event.tag != "!":
            raise _refused(f"the tag {reprlib.repr(event.tag)} is not read; give plain values")

    def _put(self, event: Any) -> None:
        if self._open:
            owner, key = self._open[-1]
            if isinstance(owner, dict) and key is None:
                if event.value in owner:
                    raise _refused(f"key {reprlib.repr(event.value)} is given more than once; keep one")
                self._open[-1] = (owner, event.value)
                return
        plain = event.style in (None, "") and event.tag != _CORE + "str"
        self._attach(_scalar(event.value) if plain else event.value)

    def _attach(self, value: object) -> None:
        if not self._open:
            self.document = value
            return
        owner, key = self._open[-1]
        if isinstance(owner, list):
            owner.append(value)
        elif key is None:
            raise _refused("a key is a list or a mapping; give text")
        else:
            owner[key] = value
            self._open[-1] = (owner, None)


def _scalar(text: str) -> object:
    """Read a plain scalar as YAML 1.2 does: `1e-5` is a number, `yes` is text."""
    lower = text.lower()
    if lower in _WORDS:
        return _WORDS[lower]
    if lower in _NOT_FINITE:
        return float(_NOT_FINITE[lower])
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if len(text) <= 400 and _FLOAT.fullmatch(text) else text


def _refused(why: str) -> CalibrationError:
    return CalibrationError({"": [why]})
