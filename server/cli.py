"""The command `usthand`: its subcommands, and errors as one line for people."""

from __future__ import annotations

import os
import sys
import threading
from importlib.metadata import version
from typing import Annotated

import typer

from capture.errors import CaptureError
from engine.errors import EngineError
from server.commands.adapt import adapt
from server.commands.bench import bench
from server.commands.build_plan import build_plan
from server.commands.calibrate import app as calibrate_app
from server.commands.data import app as data_app
from server.commands.demo import demo
from server.commands.doctor import doctor
from server.commands.evaluate import evaluate
from server.commands.export import export
from server.commands.hand_model import app as hand_model_app
from server.commands.pseudo_label import pseudo_label
from server.commands.record import record
from server.commands.replay import replay
from server.commands.rig import app as rig_app
from server.commands.run import run
from server.commands.serve import serve
from server.commands.synth import synth
from server.commands.synth_windows import synth_windows
from server.commands.train import train
from server.leaving import leave_what_remains

DEBUG_VARIABLE = "USTHAND_DEBUG"

app = typer.Typer(
    name="usthand",
    help="Real-time, multi-camera, markerless hand capture.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("usthand"))
        raise typer.Exit


@app.callback()
def usthand(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Real-time, multi-camera, markerless hand capture."""


for command in (demo, serve, run, record, replay, synth, doctor, bench):
    app.command()(command)
for learning in (synth_windows, pseudo_label, train, adapt, evaluate, export, build_plan):
    app.command()(learning)
app.add_typer(rig_app, name="rig")
app.add_typer(calibrate_app, name="calibrate")
app.add_typer(data_app, name="data")
app.add_typer(hand_model_app, name="hand-model")


def error_line(error: BaseException) -> str:
    """Say an error in one line."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    else:
        text = str(error) or type(error).__name__
    return "error: " + " ".join(text.split())


def main() -> None:
    """Run a command; known errors become one line on stderr and exit status 1."""
    others = threading.enumerate()
    status = _run()
    # Whichever command it was, and however it ended: engines run in threads of several.
    leave_what_remains(status, others)
    sys.exit(status)


def _run() -> int:
    """Run a command and return its exit status."""
    try:
        # Typer ends every command by SystemExit, and by it alone.
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except (ValueError, OSError, FloatingPointError, CaptureError, EngineError) as error:
        # CalibrationError, RigConfigError and AccessError are ValueErrors, AddressError is an OSError; training that
        # goes astray is a FloatingPointError.
        if os.environ.get(DEBUG_VARIABLE):
            raise
        sys.stderr.write(f"{error_line(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    main()
