"""`usthand rig`: converting, checking and showing calibrations and rig files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calibration import CalibrationError, Rig
from calibration.files import WRITTEN_FORMATS, CalibrationFormat, load_calibration, write_calibration
from calibration.overview import MeetingPoint, axes_meeting_point, baselines_m, field_of_view_rad
from calibration.plausibility import suspicions
from calibration.reframe import in_first_camera, renumbered
from calibration.units import parse_size
from capture.errors import RigConfigError
from capture.rig_config import load_rig, load_rig_config

app = typer.Typer(help="Calibrations and rig files: convert, check, show.", no_args_is_help=True)

RigArgument = Annotated[Path, typer.Argument(metavar="RIG", help="The rig file, rig.yaml.")]

FormatOption = Annotated[str, typer.Option("--format", help=f"What it is: {', '.join(get_args(CalibrationFormat))}.")]
UnitsOption = Annotated[
    str | None, typer.Option("--units", help="Its unit of length: m, cm, mm, in, or metres per unit.")
]
SizeOption = Annotated[
    str | None, typer.Option("--size", help="Its image size, WIDTHxHEIGHT, where it does not state it.")
]


def _parse_size(text: str | None) -> tuple[int, int] | None:
    try:
        return parse_size(text)
    except CalibrationError as error:
        raise typer.BadParameter(error.reasons[""][0], param_hint="--size") from None


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The calibration: a file, or a folder of several.")],
    format: FormatOption,
    out: Annotated[Path, typer.Option("--out", help="What to write: a file, or a folder for colmap.")],
    units: UnitsOption = None,
    size: SizeOption = None,
    to: Annotated[str, typer.Option("--to", help=f"What to write: {', '.join(WRITTEN_FORMATS)}.")] = "usthand",
    to_units: Annotated[
        str | None, typer.Option("--to-units", help="The unit to write, for formats that state none.")
    ] = None,
    first_camera: Annotated[
        bool, typer.Option("--first-camera-world", help="Make the first camera the world, as kalibr has it.")
    ] = False,
    renumber: Annotated[bool, typer.Option("--renumber", help="Name the cameras cam0, cam1, ... in order.")] = False,
) -> None:
    """Convert a calibration to calibration.json, or to what another program reads.

    For example:

        usthand rig convert camera_array.toml --format caliscope --units m --out calibration.json

        usthand rig convert desk2/ --format handpose3d --units 0.0435 --size 720x720 --out calibration.json

        usthand rig convert calibration.json --format usthand --to anipose --to-units mm --out calibration.toml
    """
    rig = load_calibration(source, format=format, units=units, size=_parse_size(size))
    if first_camera:
        rig = in_first_camera(rig)
    if renumber:
        rig = renumbered(rig)
    left_out = write_calibration(rig, out, to, units=to_units, source=f"{format}: {source.name}"[:500])
    _console().print(escape(f"{out}: {len(rig)} cameras ({', '.join(rig.camera_ids)}), calibration {rig.id}"))
    for what in left_out:
        _console().print(escape(f"left out, as {to} has no place for it: {what}"))
    _warn(rig)


@app.command()
def check(path: RigArgument) -> None:
    """Check a rig file, its calibration and its sources; exit with 1 and one line a problem if something is wrong.

    Cameras are not opened, so a service that uses them may go on.

    For example:

        usthand rig check rig.yaml
    """
    from server.commands.source_check import check_source

    config = load_rig_config(path)
    problems: list[str] = []
    rig: Rig | None = None
    try:
        rig = load_rig(config)
    except CalibrationError as error:
        problems += error.lines
    except RigConfigError as error:
        problems.append(str(error))
    calibrated = {} if rig is None else {camera.id: camera for camera in rig}
    table = _table(f"Rig {config.name or path.name}", "camera", "source", "pictures", "calibration", "state")
    for entry in config.cameras:
        camera = calibrated.get(entry.id)
        report = check_source(entry, camera)
        if report.problem:
            problems.append(f"camera {entry.id!r}: {report.problem}")
        table.add_row(
            entry.id,
            escape(report.source),
            _size_text(report.size),
            "[red]none[/red]" if camera is None else _size_text((camera.width, camera.height)),
            "[red]problem[/red]" if report.problem else escape(", ".join(("ok", *report.notes))),
        )
    _console().print(table)
    if rig is not None:
        _warn(rig)
    if problems:
        for problem in problems:
            typer.echo(f"error: {' '.join(problem.split())}", err=True)
        raise typer.Exit(1)


@app.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="RIG", help="A rig.yaml, or a calibration.")],
    format: FormatOption = "usthand",
    units: UnitsOption = None,
    size: SizeOption = None,
) -> None:
    """Show a rig's cameras: lenses, places, and how far they are from each other and from where they look.

    For example:

        usthand rig show rig.yaml

        usthand rig show camchain.yaml --format kalibr
    """
    if format == "usthand" and path.suffix in (".yaml", ".yml"):
        rig = load_rig(load_rig_config(path))
    else:
        rig = load_calibration(path, format=format, units=units, size=_parse_size(size))
    console = _console()
    console.print(_lens_table(rig, f"Rig {rig.name or path.name}, calibration {rig.id}, world unit: metre"))
    meeting = axes_meeting_point(rig)
    console.print(_place_table(rig, meeting))
    if len(rig) > 1:
        console.print(_baseline_table(rig))
    if meeting is not None:
        x, y, z = meeting.point_world
        console.print(
            f"The optical axes come closest at {x:+.3f} {y:+.3f} {z:+.3f}, {meeting.miss_m:.3f} m from it (rms)."
        )
    _warn(rig)


def _warn(rig: Rig) -> None:
    for why in suspicions(rig):
        typer.echo(f"warning: {why}", err=True)


def _lens_table(rig: Rig, title: str) -> Table:
    table = _table(title, "camera", "model", "image px", "focal px", "view deg")
    for camera in rig:
        view = " x ".join("?" if np.isnan(angle) else f"{np.degrees(angle):.1f}" for angle in field_of_view_rad(camera))
        focal = f"{camera.K[0, 0]:.1f} {camera.K[1, 1]:.1f}"
        table.add_row(escape(camera.id), camera.model, _size_text((camera.width, camera.height)), focal, view)
    return table


def _place_table(rig: Rig, meeting: MeetingPoint | None) -> Table:
    table = _table("Places, metres", "camera", "position", "from where the axes meet")
    for camera in rig:
        center = camera.center_world
        distance = "?" if meeting is None else f"{np.linalg.norm(center - meeting.point_world):.3f}"
        table.add_row(escape(camera.id), " ".join(f"{value:+.3f}" for value in center), distance)
    return table


def _baseline_table(rig: Rig) -> Table:
    table = _table("Baselines, metres", "", *map(escape, rig.camera_ids))
    for camera_id, row in zip(rig.camera_ids, baselines_m(rig), strict=True):
        table.add_row(escape(camera_id), *(f"{length:.3f}" for length in row))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _size_text(size: tuple[int, int] | None) -> str:
    return "?" if size is None else f"{size[0]}x{size[1]}"


def _console() -> Console:
    return Console(highlight=False)
