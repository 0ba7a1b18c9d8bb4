"""`usthand hand-model`: a user's own MANO file, turned into what the engine reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="hand-model", help="Hand models: convert a MANO file of your own.", no_args_is_help=True)


@app.callback()
def hand_model() -> None:
    """Hand models: convert a MANO file of your own."""


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="MANO_RIGHT.pkl", help="The pickle that MANO's licence gave you.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.npz", help="Where to write the converted model.")],
) -> None:
    """Convert a MANO pickle, running no code from it and without chumpy; then pass it on with `--hand-model OUT.npz`.

    For example:

        usthand hand-model convert MANO_RIGHT.pkl mano.npz
    """
    # Imported here so that `usthand --help` need not load the hand model.
    from engine.hand_model.convert import convert_mano_pickle

    model = convert_mano_pickle(source, target)
    typer.echo(f"{target}: {model.side} hand, {len(model.template_vertices)} vertices, sha256 {model.sha256[:12]}")
