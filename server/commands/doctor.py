"""`usthand doctor`: is this machine ready, and what to do where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

_COLOURS = {"OK": "green", "WARN": "yellow", "FAIL": "red"}


def doctor(
    rig: Annotated[Path | None, typer.Option("--rig", help="A rig file to look at too.")] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port that the service will take.")] = 8000,
) -> None:
    """Check this machine, and a rig if one is given; exit with 1 if something will not work.

    For example:

        usthand doctor

        usthand doctor --rig rig.yaml --port 8080
    """
    # Imported here so that a package that does not load is a finding and not a crash of `usthand --help`.
    from server.commands.checkup import examine

    console = Console(highlight=False, soft_wrap=True)
    counts = {"OK": 0, "WARN": 0, "FAIL": 0}
    for finding in examine(rig, port):
        counts[finding.state] += 1
        remedy = f" -> {finding.remedy}" if finding.remedy else ""
        text = " ".join(f"{finding.subject}: {finding.detail}{remedy}".split())
        console.print(f"[{_COLOURS[finding.state]}]{finding.state:4}[/] {escape(text)}")
    if counts["FAIL"]:
        console.print(f"{counts['FAIL']} of {sum(counts.values())} checks failed.")
        raise typer.Exit(1)
    console.print("Ready." if not counts["WARN"] else f"Ready, with {counts['WARN']} warnings.")
