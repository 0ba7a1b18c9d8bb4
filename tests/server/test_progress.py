"""Long work shows bars on a terminal, and nothing elsewhere."""

from __future__ import annotations

import pytest

from server.progress import shown_parts, shown_progress


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "150")


@pytest.mark.usefixtures("terminal")
def test_a_part_shows_once_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_parts() as parts:
        trunk, steps, _ = parts.part("windows seen"), parts.part("steps", 3), parts.part("frame sets judged")
        trunk.advance("window 1")
        trunk.advance("window 2")
        steps.reach(2, "loss 0.125")
    said = capsys.readouterr()
    assert said.out == ""
    last = said.err.splitlines()
    assert any("windows seen" in line and "2/?" in line and "window 2" in line for line in last)
    assert any("steps" in line and "2/3" in line and "loss 0.125" in line for line in last)
    assert "frame sets judged" not in said.err


@pytest.mark.usefixtures("terminal")
def test_a_part_begins_anew(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_parts() as parts:
        steps = parts.part("steps", 3)
        steps.reach(3, "loss 1")
        steps.begin("1 of 2: HaMuCo, seed 0")
        steps.reach(1)
    last = capsys.readouterr().err.splitlines()
    assert any("HaMuCo" in line and "1/3" in line for line in last)


@pytest.mark.usefixtures("terminal")
def test_one_bar_shows_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress(5, "shards") as advance:
        advance("shard 0")
    assert any("shards" in line and "1/5" in line for line in capsys.readouterr().err.splitlines())
    with shown_progress(5):
        pass
    assert "0/5" in capsys.readouterr().err


def test_a_log_gets_none(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress(5) as advance:
        advance("frame set 1")
    with shown_parts() as parts:
        parts.part("steps", 3).reach(1)
    assert capsys.readouterr() == ("", "")
