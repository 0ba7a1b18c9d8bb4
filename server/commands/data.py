"""`usthand data`: published data sets, checked and made ready for training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from server.commands.packages import require_packages

if TYPE_CHECKING:
    from training.datasets.published import LabelFrom

app = typer.Typer(help="Published data sets (HanCo, DexYCB, OakInk): check, import.", no_args_is_help=True)

_LABELS: Final[dict[str, LabelFrom]] = {"detector": "detector", "projected": "projected"}

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Where the data set was unpacked.")]
FormatOption = Annotated[str, typer.Option("--format", help="hanco, dexycb (S0, right hands) or oakink (SP2).")]


@app.command()
def check(folder: FolderArgument, format: FormatOption) -> None:
    """Count each split, compare with the paper's numbers, and read moments spread over all of it.

    For example:

        usthand data check HanCo --format hanco
    """
    require_packages("data", ("torch",))
    from training.datasets.published import SPLITS, open_layout
    from training.datasets.published import check as look

    passed = True
    for split in SPLITS.get(format, ("train",)):
        found = look(open_layout(format, folder, split))
        expected = "" if found.expected is None else f", the paper counts {found.expected}"
        typer.echo(f"{found.name}: {found.moments} moments{expected}: {'ok' if found.passed else 'NOT the same data'}")
        for problem in found.problems:
            typer.echo(f"  {problem}")
        passed &= found.passed
    if not passed:
        raise typer.Exit(1)


@app.command("import")
def import_windows(
    folder: FolderArgument,
    format: FormatOption,
    out: Annotated[Path, typer.Option("--out", help="Where to write the windows; an empty folder or a new one.")],
    split: Annotated[str, typer.Option("--split", help="train, test; hanco: all; dexycb: validation.")] = "train",
    labels: Annotated[
        str,
        typer.Option("--labels", help="detector (MediaPipe), a folder of another's, or projected: the truth in 2D."),
    ] = "detector",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Take so many windows, spread over all.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of how the crops are off.")] = 0,
) -> None:
    """Cut and label a split's windows for `usthand train` and `usthand evaluate`.

    For example:

        usthand data import HanCo --format hanco --split train --out hanco-train
    """
    require_packages("data", ("torch",))
    from server.progress import shown_progress
    from training.datasets.published import PublishedWindows, open_layout, write_windows

    chosen = _LABELS.get(labels) or Path(labels)
    if isinstance(chosen, Path) and not chosen.is_dir():
        raise ValueError(f"labels {labels!r} are neither detector, nor projected, nor a folder; give one of them")
    source = PublishedWindows(open_layout(format, folder, split), chosen, seed=seed)
    with shown_progress(min(limit or len(source), len(source)), "windows") as advance:
        count = write_windows(out, source, limit, advance)
    typer.echo(f"{out}: {count} windows of {source.name}")
