"""`usthand calibrate refine`: a bumped camera's extrinsics from recorded hands, without a board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from capture.recording import RIG_NAME
from server.commands.options import HandModelOption
from server.commands.output_path import require_file_place, require_folder

_BEFORE_FRAME_SETS: Final = 300


def refine(
    out: Annotated[Path, typer.Option("--out", help="The calibration.json to write.")],
    recording: Annotated[
        Path | None,
        typer.Option("--recording", help="Folder of a recording with hands, of after the bump or around it."),
    ] = None,
    rig: Annotated[Path | None, typer.Option("--rig", help="... or the rig file of such footage.")] = None,
    cameras: Annotated[
        list[str] | None,
        typer.Option("--cameras", help="The cameras that moved, with commas; pictures and hands say so by default."),
    ] = None,
    before: Annotated[
        Path | None,
        typer.Option("--before", help="Recording or rig file of when all was right: its background and calibration."),
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Folder to write refine.json to.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=10, help="Stop after so many frame sets.")] = None,
    hand_model: HandModelOption = None,
) -> None:
    """Solve how cameras moved from hands that were recorded, and write a calibration that fits again.

    Cameras that did not move hold the world and its scale. Where the recording shows the bump itself, or --before shows
    the cameras and their calibration as they were, the backgrounds tell which camera turned and how; hands alone can
    tell with three views or more. Hands that were held out judge: nothing is written when they are not predicted
    better.

    For example:

        usthand calibrate refine --recording recordings/take1 --out calibration.json

        usthand calibrate refine --rig rig.yaml --cameras cam2 --before recordings/monday --out calibration.json
    """
    # Imported here so that `usthand --help` need not load the engine.
    from calibration.files import save_calibration
    from calibration.refining import RefineError
    from calibration.refining import refine as solve
    from engine.factory import open_engine
    from server.commands.sources import open_rig, open_session
    from server.progress import shown_progress
    from server.refining.footage import gather_footage
    from server.refining.report import held_out_table, moved_table, write_report

    if (recording is None) == (rig is None):
        raise typer.BadParameter("give either --recording or --rig", param_hint="--recording")
    config, calibrated = open_rig(_rig_file(recording or rig))
    names = [name for text in cameras or () for name in text.split(",") if name]
    if unknown := [name for name in names if name not in calibrated.camera_ids]:
        raise typer.BadParameter(
            f"there is no camera {unknown[0]!r}; there are {', '.join(calibrated.camera_ids)}", param_hint="--cameras"
        )
    # Asked now: what is found after minutes would be lost.
    require_file_place(out, "calibration.json")
    if report is not None:
        require_folder(report)
    earlier = None
    if before is not None:
        earlier_config, earlier_rig = open_rig(_rig_file(before))
        if earlier_rig.camera_ids != calibrated.camera_ids:
            raise RefineError(
                f"{before} is of cameras {', '.join(earlier_rig.camera_ids)} and the footage of "
                f"{', '.join(calibrated.camera_ids)}; give one of the same rig"
            )
        # The background stands still, but somebody may stand before it: some seconds show most of it.
        start = gather_footage(
            open_session(earlier_config, earlier_rig, "lossless"), None, earlier_rig, limit=_BEFORE_FRAME_SETS
        )
        earlier = start.as_before(earlier_rig)
    engine = open_engine("detector", hand_model=hand_model)
    try:
        session = open_session(config, calibrated, "lossless")
        with shown_progress(limit) as advance:
            footage = gather_footage(session, engine, calibrated, limit=limit, advance=advance)
    finally:
        engine.close()
    changes = footage.changes(calibrated, earlier)
    if names:
        changes = {camera_id: change for camera_id, change in changes.items() if camera_id in names}
    since_s = max((change.at_s for change in changes.values()), default=float("-inf"))
    refined = solve(calibrated, footage.since(since_s), cameras=names, changes=changes)
    save_calibration(refined.rig, out, source=f"refined from hands in {(recording or rig or out).name}"[:500])
    console = Console(highlight=False)
    console.print(moved_table(refined))
    console.print(held_out_table(refined))
    if report is not None:
        console.print(escape(f"{write_report(refined, report)}: the same for programs"))
    for correction in refined.corrections:
        if not (correction.by_picture or correction.beyond_chance):
            typer.secho(
                f"warning: camera {correction.camera_id}: its picture shows no turn, and what the hands ask for may be "
                "chance; do not use this before more hands say the same (record a minute), or a board does",
                fg="yellow",
                err=True,
            )
    console.print(escape(f"{out}: calibration {refined.rig.id}; upload it with PUT /api/v1/calibration"))


def _rig_file(path: Path | None) -> Path:
    """The rig file of a recording's folder, or the rig file itself."""
    if path is None:
        raise typer.BadParameter("give either --recording or --rig", param_hint="--recording")
    return path / RIG_NAME if path.is_dir() else path
