from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.recording import RecordingError
from server.recording.names import folder_name, make_folder

NOW = datetime(2026, 3, 4, 5, 6, 7)
PATHS = ["../x", "../../etc/passwd", "a/../../x", "./x", "..\\x", "/absolute", "~/x", "C:\\windows"]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (None, "2026-03-04_05-06-07"),
        ("take1", "take1"),
        ("My take, 2nd try!", "My_take_2nd_try"),
        ("4/5: second", "4_5_second"),
        ("wait...go", "wait...go"),
        (".hidden", "hidden"),
        ("手の記録", "手の記録"),
        ("a\0b\nc", "a_b_c"),
        ("x" * 500, "x" * 60),
    ],
)
def test_names(wanted: str | None, name: str) -> None:
    assert folder_name(wanted, NOW) == name


@pytest.mark.parametrize("wanted", ["", ".", "..", "../..", "///", "\0", "___", " . ", *PATHS])
def test_what_is_no_name(wanted: str) -> None:
    with pytest.raises(RecordingError, match="is no name for a recording; use letters or digits, and no path"):
        folder_name(wanted, NOW)


@given(st.text(max_size=300))
def test_a_name_is_one_folder_whatever_was_asked_for(wanted: str) -> None:
    try:
        name = folder_name(wanted, NOW)
    except RecordingError:
        return
    assert Path("/recordings", name).parent == Path("/recordings")
    assert Path(name).name == name
    assert not name.startswith(".")
    assert len(name.encode()) <= 255
    assert name.isprintable()


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    parent = tmp_path / "not" / "there"
    assert [make_folder(parent, "take").name for _ in range(3)] == ["take", "take-2", "take-3"]
