"""Progress of long work on a terminal, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def shown_progress(total: int | None) -> Iterator[Callable[[str], None]]:
    """Show a bar while the block runs, on a terminal; elsewhere show nothing.

    Args:
        total: Steps; None where nobody knows.

    Yields:
        A function that counts one step and says something about it.
    """
    columns = (
        TextColumn("frame sets"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    # In a log or a pipe a bar is noise beside the one line that says how it went.
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total, note="")

        def advance(note: str) -> None:
            progress.update(task, advance=1, note=note)

        yield advance
