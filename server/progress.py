"""Progress of long work on a terminal, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@dataclass(frozen=True, slots=True)
class Part:
    """The bar of one part of long work; it shows once the part begins.

    Args:
        progress: Where it is drawn.
        task: Which bar it is.
    """

    progress: Progress
    task: TaskID

    def advance(self, note: str = "") -> None:
        """Count one step and say something about it."""
        self.progress.update(self.task, advance=1, note=note, visible=True)

    def reach(self, done: int, note: str = "") -> None:
        """Say how many steps are done."""
        self.progress.update(self.task, completed=done, note=note, visible=True)

    def begin(self, what: str) -> None:
        """Begin anew with something else."""
        self.progress.reset(self.task, description=what, visible=True, note="")


@dataclass(frozen=True, slots=True)
class Parts:
    """Bars one below the other.

    Args:
        progress: Where they are drawn.
    """

    progress: Progress

    def part(self, what: str, total: int | None = None) -> Part:
        """Add a part.

        Args:
            what: What is counted.
            total: Steps; None where nobody knows.
        """
        return Part(self.progress, self.progress.add_task(what, total=total, note="", visible=False))


@contextmanager
def shown_parts() -> Iterator[Parts]:
    """Show the bars of work that has several parts while the block runs, on a terminal; elsewhere show nothing."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    # In a log or a pipe a bar is noise beside the one line that says how it went.
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Parts(progress)


@contextmanager
def shown_progress(total: int | None, what: str = "frame sets") -> Iterator[Callable[[str], None]]:
    """Show a bar while the block runs, on a terminal; elsewhere show nothing.

    Args:
        total: Steps; None where nobody knows.
        what: What is counted.

    Yields:
        A function that counts one step and says something about it.
    """
    with shown_parts() as parts:
        part = parts.part(what, total)
        part.reach(0)
        yield part.advance
