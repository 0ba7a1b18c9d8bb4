"""`usthand rig`: converting, checking and showing calibrations and rig files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from calibration import CalibrationError, Rig
from calibration.files import load_calibration, save_calibration
from calibration.overview import MeetingPoint, axes_meeting_point, baselines_m, field_of_view_rad
from capture.errors import RigConfigError
from capture.rig_config import load_rig, load_rig_config

app = typer.Typer(help="Calibrations and rig files: convert, check, show.", no_args_is_help=True)

RigArgument = Annotated[Path, typer.Argument(metavar="RIG", help="The rig file, rig.yaml.")]

_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


def _parse_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = _SIZE.fullmatch(text)
    if match is None or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
        raise typer.BadParameter(f"{text!r} is not WIDTHxHEIGHT in pixels, such as 1280x720", param_hint="--size")
    return int(match[1]), int(match[2])


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The calibration: a file, or a folder of handpose3d.")],
    format: Annotated[str, typer.Option("--format", help="What SRC is: usthand, caliscope or handpose3d.")],
    out: Annotated[Path, typer.Option("--out", help="The calibration.json to write.")],
    units: Annotated[
        str | None, typer.Option("--units", help="SRC's unit of length: m, cm, mm, in, or metres per unit.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", help="Image size, WIDTHxHEIGHT, where SRC does not state it.")
    ] = None,
) -> None:
    """Convert a calibration to calibration.json.

    For example:

        usthand rig convert camera_array.toml --format caliscope --units m --out calibration.json

        usthand rig convert desk2/ --format handpose3d --units 0.0435 --size 720x720 --out calibration.json
    """
    rig = load_calibration(source, format=format, units=units, size=_parse_size(size))
    save_calibration(rig, out, source=f"{format}: {source.name}"[:500])
    _console().print(f"{out}: {len(rig)} cameras ({', '.join(rig.camera_ids)}), calibration {rig.id}")


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
            report.source,
            _size_text(report.size),
            "[red]none[/red]" if camera is None else _size_text((camera.width, camera.height)),
            "[red]problem[/red]" if report.problem else ", ".join(("ok", *report.notes)),
        )
    _console().print(table)
    if problems:
        for problem in problems:
            typer.echo(f"error: {' '.join(problem.split())}", err=True)
        raise typer.Exit(1)


@app.command()
def show(path: Annotated[Path, typer.Argument(metavar="RIG", help="A rig.yaml, or a calibration.json.")]) -> None:
    """Show a rig's cameras: lenses, places, and how far they are from each other and from where they look.

    For example:

        usthand rig show rig.yaml
    """
    rig = load_calibration(path) if path.suffix == ".json" else load_rig(load_rig_config(path))
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


def _lens_table(rig: Rig, title: str) -> Table:
    table = _table(title, "camera", "model", "image px", "focal px", "view deg")
    for camera in rig:
        view = " x ".join("?" if np.isnan(angle) else f"{np.degrees(angle):.1f}" for angle in field_of_view_rad(camera))
        focal = f"{camera.K[0, 0]:.1f} {camera.K[1, 1]:.1f}"
        table.add_row(camera.id, camera.model, _size_text((camera.width, camera.height)), focal, view)
    return table


def _place_table(rig: Rig, meeting: MeetingPoint | None) -> Table:
    table = _table("Places, metres", "camera", "position", "from where the axes meet")
    for camera in rig:
        center = camera.center_world
        distance = "?" if meeting is None else f"{np.linalg.norm(center - meeting.point_world):.3f}"
        table.add_row(camera.id, " ".join(f"{value:+.3f}" for value in center), distance)
    return table


def _baseline_table(rig: Rig) -> Table:
    table = _table("Baselines, metres", "", *rig.camera_ids)
    for camera_id, row in zip(rig.camera_ids, baselines_m(rig), strict=True):
        table.add_row(camera_id, *(f"{length:.3f}" for length in row))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _size_text(size: tuple[int, int] | None) -> str:
    return "?" if size is None else f"{size[0]}x{size[1]}"


def _console() -> Console:
    return Console(highlight=False)
