"""What a refinement found, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from calibration.refining import CameraCorrection, Refined
from calibration.refining.reprojection import Reprojection


def moved_table(refined: Refined) -> Table:
    """Say what moved, by how much, and how sure that is."""
    table = Table(title="What moved", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("camera", "turned deg", "moved mm", "seen in its background"):
        table.add_column(column)
    for correction in refined.corrections:
        table.add_row(
            correction.camera_id,
            _with_sigma(correction.turn_deg, correction.turn_sigma_deg, 2),
            _with_sigma(correction.move_mm, correction.move_sigma_mm, 1),
            "yes" if correction.by_picture else "no",
        )
    return table


def held_out_table(refined: Refined) -> Table:
    """Say how well hands that were held out are predicted, before and after."""
    title = f"Hands held out: {refined.held_out} moments; solved from {refined.moments}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("camera", "joints", "rms px before", "after", "rms mm before", "after"):
        table.add_column(column, justify="left" if column == "camera" else "right")
    for camera_id, before in refined.before.items():
        after = refined.after.get(camera_id)
        if after is not None:
            table.add_row(
                camera_id,
                str(before.joints),
                f"{before.rms_px:.2f}",
                f"{after.rms_px:.2f}",
                f"{before.rms_mm:.2f}",
                f"{after.rms_mm:.2f}",
            )
    return table


def write_report(refined: Refined, folder: Path) -> Path:
    """Write `refine.json`.

    Returns:
        Its path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "refine.json"
    path.write_text(json.dumps(_content(refined), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def _content(refined: Refined) -> dict[str, Any]:
    return {
        "calibration_id": refined.rig.id,
        "moved": [_correction(correction) for correction in refined.corrections],
        "held_out": {
            "moments": refined.held_out,
            "before": {camera_id: _error(error) for camera_id, error in refined.before.items()},
            "after": {camera_id: _error(error) for camera_id, error in refined.after.items()},
        },
        "solved_from_moments": refined.moments,
    }


def _correction(correction: CameraCorrection) -> dict[str, Any]:
    return {
        "camera": correction.camera_id,
        "turn_deg": correction.turn_deg.tolist(),
        "turn_sigma_deg": correction.turn_sigma_deg.tolist(),
        "move_mm": correction.move_mm.tolist(),
        "move_sigma_mm": correction.move_sigma_mm.tolist(),
        "seen_in_background": correction.by_picture,
    }


def _error(error: Reprojection) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(error).items()}


def _with_sigma(values: Any, sigmas: Any, digits: int) -> str:
    length = float(np.linalg.norm(values))
    sigma = float(np.linalg.norm(sigmas))
    parts = " ".join(f"{value:+.{digits}f}" for value in values)
    return f"{length:.{digits}f} +- {sigma:.{digits}f} ({parts})"
