"""Which format a text seems to be in, for people who named another one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_SIGNS: Final[Mapping[str, re.Pattern[str]]] = {
    "usthand": re.compile(r'"usthand\.calibration/'),
    "multical": re.compile(r'"camera_poses"\s*:'),
    "hanco": re.compile(r'"M"\s*:'),
    "caliscope": re.compile(r"^\[cameras\.", re.MULTILINE),
    "anipose": re.compile(r"^\[cam_[0-9]+\]", re.MULTILINE),
    "kalibr": re.compile(r"^cam0:", re.MULTILINE),
    "opencv": re.compile(r"^Ks:|^ +camera_matrix:", re.MULTILINE),
}
"""What stands in files of one format only."""

_SYNTAXES: Final = (
    # What is JSON is YAML, too.
    ("JSON", re.compile(r"\s*\{"), ("usthand", "hanco", "multical", "kalibr", "opencv")),
    ("TOML", re.compile(r"""\s*(?:\[[\w."' -]+\]\s*$|[\w."'-]+\s*=)"""), ("anipose", "caliscope")),
    ("YAML", re.compile(r"""%YAML|---|[\w"'-]+\s*:(?:\s|$)"""), ("kalibr", "opencv")),
)
"""Syntaxes by the first line that is no comment, and the formats that have them."""


def mismatch(text: str, format: str) -> str | None:
    """Say what a text looks like, where that is not the format it was said to have.

    Args:
        text: The file, which could not be read in that format.
        format: Which one that is.

    Returns:
        What it looks like and which format to name; None where it could be what was said, or nothing can be told.
    """
    line = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    syntax, possible = next(((name, formats) for name, sign, formats in _SYNTAXES if sign.match(line)), ("", ()))
    found = [name for name in possible if (sign := _SIGNS.get(name)) is not None and sign.search(text)]
    likely = found or possible
    if not likely or format in likely:
        return None
    if found:
        return f"it looks like {found[0]}'s {syntax}, not like {format}'s; give format={found[0]} if it is"
    return f"it looks like {syntax}, which {format} is not written in; give format={' or format='.join(likely)}"
