"""`usthand calibrate`: lenses and places of a rig's cameras from footage of a board; boards to print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from server.commands.calibrate_refine import refine
from server.commands.output_path import require_file_place, require_folder

if TYPE_CHECKING:
    from calibration.boards import Board
    from calibration.solving.lenses import LensChoice
    from capture.rig_config import RigConfig
    from server.calibrating.footage import Footage
    from server.calibrating.report import Findings

app = typer.Typer(invoke_without_command=True)

_RIG_HELP = "The rig file: cameras and their footage of the board. It need not name a calibration."
_BOARD_HELP = "The board: charuco:4x5:0.054:DICT_4X4_1000, aprilgrid:6x6:0.088:0.3 or checkerboard:8x5:0.03."
_OUT_HELP = "The calibration.json to write."
_REPORT_HELP = "Folder for the report; it keeps the detections, so that solving again is fast."
_MODEL_HELP = "Lens model: auto (what holds out best), brown-conrady-5, brown-conrady-8 or fisheye."
_WORLD_HELP = "World frame: first-camera, a camera's id, board, or floor (the board lies on it, face up)."
_FRAME_HELP = "Frame set that --world board and floor mean; else the stillest."
_EVERY_HELP = "Look at one frame set in so many: long footage at a high rate shows much twice."
_HOLD_OUT_HELP = "Share of the frame sets that judges instead of solving."

RigOption = Annotated[Path, typer.Option("--rig", help=_RIG_HELP)]
BoardOption = Annotated[str, typer.Option("--board", help=_BOARD_HELP)]
OutOption = Annotated[Path, typer.Option("--out", help=_OUT_HELP)]
ReportOption = Annotated[Path | None, typer.Option("--report", help=_REPORT_HELP)]
ModelOption = Annotated[str, typer.Option("--model", help=_MODEL_HELP)]
WorldOption = Annotated[str, typer.Option("--world", help=_WORLD_HELP)]
FrameOption = Annotated[int | None, typer.Option("--world-frame", min=0, help=_FRAME_HELP)]
EveryOption = Annotated[int, typer.Option("--every", min=1, max=1000, help=_EVERY_HELP)]
HoldOutOption = Annotated[float, typer.Option("--hold-out", min=0.0, max=0.5, help=_HOLD_OUT_HELP)]


@app.callback()
def calibrate(
    context: typer.Context,
    rig: Annotated[Path | None, typer.Option("--rig", help=_RIG_HELP)] = None,
    board: Annotated[str | None, typer.Option("--board", help=_BOARD_HELP)] = None,
    out: Annotated[Path | None, typer.Option("--out", help=_OUT_HELP)] = None,
    report: ReportOption = None,
    model: ModelOption = "auto",
    world: WorldOption = "first-camera",
    world_frame: FrameOption = None,
    hold_out: HoldOutOption = 0.2,
    every: EveryOption = 1,
) -> None:
    """Calibrate cameras from footage of a board: lenses and places, with a verdict on frames that were held out.

    For example:

        usthand calibrate --rig rig.yaml --board charuco:4x5:0.054:DICT_4X4_1000:inverted --out calibration.json

        usthand calibrate board charuco:4x5:0.04:DICT_4X4_1000 --out board.pdf
    """
    if context.invoked_subcommand is not None:
        return
    given = {"--rig": rig, "--board": board, "--out": out}
    if rig is None or board is None or out is None:
        missing = ", ".join(option for option, value in given.items() if value is None)
        raise typer.BadParameter(f"give {missing}, or one of the commands (see --help)", param_hint="calibrate")
    _solve(rig, board, out, report, model, world, world_frame, hold_out, every, None)


@app.command()
def extrinsics(
    rig: RigOption,
    board: BoardOption,
    lenses: Annotated[Path, typer.Option("--lenses", help="A calibration.json whose lenses are kept.")],
    out: OutOption,
    report: ReportOption = None,
    world: WorldOption = "first-camera",
    world_frame: FrameOption = None,
    hold_out: HoldOutOption = 0.2,
    every: EveryOption = 1,
) -> None:
    """Solve only where the cameras are; their lenses are those of a calibration that there is.

    For example:

        usthand calibrate extrinsics --rig rig.yaml --board checkerboard:8x5:0.03 --lenses lenses.json --out new.json
    """
    _solve(rig, board, out, report, "auto", world, world_frame, hold_out, every, lenses)


@app.command()
def intrinsics(
    rig: RigOption,
    board: BoardOption,
    out: OutOption,
    report: ReportOption = None,
    model: ModelOption = "auto",
    hold_out: HoldOutOption = 0.2,
    every: EveryOption = 1,
) -> None:
    """Solve only the lenses; cameras need not see the board at the same time, and all stand at the world's origin.

    For example:

        usthand calibrate intrinsics --rig rig.yaml --board checkerboard:8x5:0.03 --out lenses.json
    """
    from dataclasses import replace

    from calibration import Rig
    from calibration.files import save_calibration
    from calibration.solving.solve import Wishes, held_out_instants, solve_lenses
    from server.calibrating.calibrate import sights_of

    config, parsed, footage = _seen(rig, board, report, out, every)
    sights = sights_of(footage, parsed)
    held = held_out_instants((view.instant for view in sights.views), hold_out)
    found = solve_lenses(sights, Wishes(_model(model), hold_out), held)
    cameras = tuple(
        replace(lens.camera, rms_px=lens.held_out_px if lens.held_out_px >= 0 else None) for lens in found.values()
    )
    save_calibration(Rig(cameras, config.name), out, source=f"usthand calibrate intrinsics, {parsed.spec}"[:500])
    for lens in found.values():
        typer.echo(f"{lens.camera.id}: {lens.name}, held out {lens.held_out_px:.2f} px rms", err=True)
    typer.echo(f"{out}: lenses of {len(cameras)} cameras; their places are not solved", err=True)


@app.command("board")
def print_board(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help=_BOARD_HELP)],
    out: Annotated[Path, typer.Option("--out", help="The PDF to write.")],
    paper: Annotated[str, typer.Option("--paper", help="a4, a3, a2, a1, a0, letter or tabloid.")] = "a4",
) -> None:
    """Write a board as a PDF to print at true size; a two-sided board has a page for each side.

    For example:

        usthand calibrate board charuco:4x5:0.04:DICT_4X4_1000 --out board.pdf

        usthand calibrate board aprilgrid:4x4:0.05:0.3 --out board.pdf --paper a3
    """
    from calibration.boards import parse_board
    from calibration.boards.printing import Paper, write_pdf

    board = parse_board(spec)
    layout = write_pdf(board, out, cast(Paper, paper.lower()))
    width, height = (1000 * length for length in board.pattern.size_m)
    lying = "landscape" if layout.landscape else "portrait"
    typer.echo(
        f"{out}: {width:g} x {height:g} mm on {paper.lower()}, {lying}, {board.sides} page(s); print at 100 % and "
        "measure the ruler",
        err=True,
    )


def _solve(
    rig: Path,
    board: str,
    out: Path,
    report: Path | None,
    model: str,
    world: str,
    world_frame: int | None,
    hold_out: float,
    every: int,
    lenses: Path | None,
) -> None:
    # Imported here so that `usthand --help` need not load what solves.
    from calibration.files import load_calibration, save_calibration
    from calibration.solving.solve import Wishes
    from server.calibrating.calibrate import calibrate as solve
    from server.calibrating.report import report_content, summary_lines, write_report

    choice = _model(model)
    given = None if lenses is None else load_calibration(lenses)
    config, parsed, footage = _seen(rig, board, report, out, every, world)
    known = None
    if given is not None:
        known = given.subset(config.camera_ids).cameras if set(config.camera_ids) <= set(given.camera_ids) else ()
        if not known:
            raise ValueError(
                f"{lenses} has lenses of {', '.join(given.camera_ids)}, the rig has cameras "
                f"{', '.join(config.camera_ids)}; use the same ids, or solve the lenses too"
            )
        _same_sizes(known, footage)
    wishes = Wishes(choice, hold_out, lambda what: typer.echo(f"solving: {what}", err=True))
    findings: Findings = solve(parsed, footage, wishes, world, world_frame, known, config.name)
    save_calibration(findings.rig, out, source=f"usthand calibrate, {parsed.spec}"[:500])
    if report is not None:
        write_report(findings, report)
    for line in summary_lines(report_content(findings)):
        typer.echo(line, err=True)
    where = "" if report is None else f"; report in {report}"
    typer.echo(f"{out}: {len(findings.rig)} cameras, calibration {findings.rig.id}{where}", err=True)


def _seen(
    rig: Path, board: str, report: Path | None, out: Path, every: int, world: str = "first-camera"
) -> tuple[RigConfig, Board, Footage]:
    from calibration.boards import parse_board
    from calibration.solving.world import check_world
    from capture.rig_config import load_rig_config
    from server.calibrating.calibrate import find_board
    from server.progress import shown_progress

    parsed = parse_board(board)
    config = load_rig_config(rig)
    check_world(world, config.camera_ids)
    # Asked now: what is found after minutes would be lost.
    require_file_place(out, "calibration.json")
    if report is not None:
        require_folder(report)
    with shown_progress(None) as advance:
        footage = find_board(config, parsed, report, advance, every)
    typer.echo(f"{len(footage.sights)} sights of the board in {footage.frame_sets} frame sets", err=True)
    return config, parsed, footage


app.command()(refine)


def _same_sizes(known: tuple[object, ...], footage: Footage) -> None:
    from calibration import Camera

    for camera in known:
        if isinstance(camera, Camera) and (camera.width, camera.height) != footage.sizes[camera.id]:
            width, height = footage.sizes[camera.id]
            raise ValueError(
                f"camera {camera.id}: its lens is for {camera.width}x{camera.height}, its footage is {width}x{height}; "
                "film at the size of the lens, or solve the lenses too"
            )


def _model(name: str) -> LensChoice:
    from calibration.solving.lenses import LensChoice

    if name not in get_args(LensChoice):
        raise typer.BadParameter(f"{name!r} is none of {', '.join(get_args(LensChoice))}", param_hint="--model")
    return cast("LensChoice", name)
