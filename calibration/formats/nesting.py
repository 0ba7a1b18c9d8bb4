"""A look at a text's nesting before a recursive parser sees it."""

from __future__ import annotations

import re

from calibration.errors import CalibrationError

MAX_DEPTH = 32

# Possessive quantifiers keep these linear in the length of hostile text. An unterminated string is swallowed: the
# parser stops there with its own error, so nothing behind it is ever nested.
_JSON_TOKEN = re.compile(r'"(?:\\.|[^"\\])*+"?|[\[{\]}]', re.DOTALL)
_TOML_TOKEN = re.compile(
    r'"""(?:\\.|[^"\\]|"(?!""))*+(?:""")?|'
    r"'''(?:[^']|'(?!''))*+(?:''')?|"
    r'"(?:\\.|[^"\\\n])*+"?|'
    r"'[^'\n]*+'?|"
    r"#[^\n]*+|"
    r"[\[{\]},=\n.]",
    re.DOTALL,
)


def check_json_nesting(text: str) -> None:
    """Refuse JSON that nests deeper than `MAX_DEPTH`.

    Raises:
        CalibrationError: If it does.
    """
    _check(text, _JSON_TOKEN)


def check_toml_nesting(text: str) -> None:
    """Refuse TOML whose arrays, tables or dotted keys nest deeper than `MAX_DEPTH`.

    Raises:
        CalibrationError: If they do.
    """
    _check(text, _TOML_TOKEN)


def _check(text: str, token: re.Pattern[str]) -> None:
    depth = dots = 0
    for match in token.finditer(text):
        mark = match.group()
        if mark in ("[", "{"):
            depth += 1
        elif mark in ("]", "}"):
            depth = max(depth - 1, 0)
        dots = dots + 1 if mark == "." else (dots if mark[0] in "\"'" else 0)
        if max(depth, dots) > MAX_DEPTH:
            raise CalibrationError(
                {"": [f"the file nests deeper than {MAX_DEPTH} levels; a calibration needs 4: is this another file?"]}
            )
