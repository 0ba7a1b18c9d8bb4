"""The names of recordings: always one folder, never a path."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from pathlib import Path
from typing import Final

from capture.recording import RecordingError

MOST_CHARACTERS: Final = 60
_MOST_FOLDERS: Final = 1000
_OTHER: Final = re.compile(r"[^\w.-]+")
# A date such as 4/5 may be meant as a name; who writes one of these means another folder.
_ELSEWHERE: Final = re.compile(r"[/\\~]|[A-Za-z]:[/\\]|(?:.*[/\\])?\.\.?[/\\]", re.DOTALL)


def folder_name(wanted: str | None, now: datetime) -> str:
    """Return the folder's name for a recording: what was asked for with all else than letters, digits, `.-_` replaced.

    Args:
        wanted: By the user; None takes the time.
        now: The time.

    Raises:
        RecordingError: If nothing is left of it, or if it is a path to somewhere else.
    """
    if wanted is None:
        return now.strftime("%Y-%m-%d_%H-%M-%S")
    name = _OTHER.sub("_", unicodedata.normalize("NFC", wanted)).lstrip(".")[:MOST_CHARACTERS].rstrip("._")
    if not name.strip("_-") or _ELSEWHERE.match(wanted):
        raise RecordingError(f"{wanted[:80]!r} is no name for a recording; use letters or digits, and no path")
    return name


def make_folder(parent: Path, name: str) -> Path:
    """Make a new folder: of that name, or of that name with a number where it is taken.

    Raises:
        OSError: If it cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, _MOST_FOLDERS):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise RecordingError(f"{parent} holds {_MOST_FOLDERS} recordings called {name!r}; use another name")
