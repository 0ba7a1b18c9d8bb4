"""The report folder of a calibration: `report.json` for programs, `report.md` and pictures for people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from calibration import Rig
from calibration.boards import Board
from calibration.observations import BoardView
from calibration.overview import baselines_m
from calibration.solving.judging import PLACE_NAMES, coverage
from calibration.solving.projection import LENS_NAMES, lens_of
from calibration.solving.solve import Solved
from server.calibrating.footage import Footage
from server.calibrating.pictures import coverage_picture, residual_picture, write_png

SCHEMA = "usthand.calibration-report/1"


@dataclass(frozen=True, eq=False, slots=True)
class Findings:
    """What a report tells.

    Args:
        board: The board.
        footage: What was seen of it.
        chosen: How many frame sets with the board were solved from.
        solved: The calibration.
        rig: Its cameras, in the world that was asked for.
        world: That world, in words.
    """

    board: Board
    footage: Footage
    chosen: int
    solved: Solved
    rig: Rig
    world: str


def report_content(findings: Findings) -> dict[str, Any]:
    """Return what `report.json` holds; a number that is not known is null."""
    solved, judgement = findings.solved, findings.solved.judgement
    with_board = {sight.instant for sight in findings.footage.sights}
    return {
        "schema": SCHEMA,
        "verdict": judgement.verdict,
        "reasons": list(judgement.reasons),
        "calibration_id": findings.rig.id,
        "board": findings.board.spec,
        "world": findings.world,
        "frame_sets": {
            "read": findings.footage.frame_sets,
            "with_board": len(with_board),
            "solved_from": findings.chosen,
        },
        "held_out": {
            "sights": len(solved.held_out.views),
            "rms_px": _number(solved.held_out.rms_px),
            "neighbours": int(solved.held_out.neighbours_mm.size),
            "neighbour_median_mm": _number(solved.held_out.median_neighbour_mm),
            "neighbour_spread_mm": _number(solved.held_out.spread_neighbour_mm),
        },
        "left_out": {"sights_too_fast": solved.too_fast, "outlier_corners": solved.outliers},
        "timing": {"jitter_ms": _number(1e3 * solved.timing.jitter_s)},
        "weakest_camera": judgement.weakest_camera,
        "baselines_m": baselines_m(findings.rig).tolist(),
        "longest_baseline": _longest_baseline(findings.rig),
        "cameras": [_camera(findings, camera_id) for camera_id in findings.rig.camera_ids],
    }


def _longest_baseline(rig: Rig) -> dict[str, Any] | None:
    """Return which cameras are farthest apart, and how far; None of a single one."""
    if len(rig) < 2:
        return None
    lengths = baselines_m(rig)
    one, other = sorted(int(i) for i in np.unravel_index(int(lengths.argmax()), lengths.shape))
    return {"cameras": [rig.cameras[one].id, rig.cameras[other].id], "m": _number(float(lengths.max()))}


def _camera(findings: Findings, camera_id: str) -> dict[str, Any]:
    solved, footage = findings.solved, findings.footage
    seen = _seen(footage, camera_id)
    camera = findings.rig.camera(camera_id)
    edges = [sight.edge_px for sight in footage.sights if sight.camera_id == camera_id]
    lens = solved.lenses.get(camera_id)
    weakest = solved.judgement.weakest.get(camera_id)
    return {
        "id": camera_id,
        "sights": len(edges),
        "refused": dict(footage.refused[camera_id]),
        "coverage": _number(float((coverage(camera, seen) > 0).mean())),
        "edge_px": _number(float(np.median(edges)) if edges else math.nan),
        "held_out_rms_px": _number(solved.held_out.camera_rms_px(camera_id)),
        "late_ms": _number(1e3 * solved.timing.late_s[camera_id]),
        "lens": None
        if lens is None
        else {"model": lens.name, "tried_px": {n: _number(v) for n, v in lens.tried.items()}},
        "numbers": _numbers(findings, camera_id),
        "weakest": None
        if weakest is None
        else {"name": weakest.name, "sigma": _number(weakest.sigma), "effect_px": _number(weakest.effect_px)},
    }


def _numbers(findings: Findings, camera_id: str) -> dict[str, dict[str, float | None]]:
    """Return each number that was solved, with its standard deviation; of a place that relative to the first camera's.

    A place is given against the first camera, which is what was solved, whatever the world is.
    """
    solved = findings.solved
    start = 0
    for camera in solved.cameras:
        names = (*LENS_NAMES[camera.model][: 4 + camera.distortion.size], *PLACE_NAMES)
        if camera.id == camera_id:
            turn = Rotation.from_matrix(camera.T_camera_world[:3, :3]).as_rotvec()
            values = np.concatenate([lens_of(camera), turn, camera.T_camera_world[:3, 3]])
            sigmas = np.sqrt(np.maximum(np.diag(solved.covariance)[start : start + len(names)], 0.0))
            return {
                name: {"value": _number(float(value)), "sigma": _number(float(sigma))}
                for name, value, sigma in zip(names, values, sigmas, strict=True)
            }
        start += len(names)
    raise KeyError(camera_id)


def _seen(footage: Footage, camera_id: str) -> list[BoardView]:
    """Return a camera's sights as its pictures have them."""
    return [
        BoardView(s.camera_id, s.instant, s.corner_ids, s.corners_px)
        for s in footage.sights
        if s.camera_id == camera_id
    ]


def write_report(findings: Findings, folder: Path) -> None:
    """Write the report; files of an earlier one are replaced.

    Args:
        findings: What to tell.
        folder: Made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = report_content(findings)
    for camera in findings.rig:
        seen = _seen(findings.footage, camera.id)
        write_png(folder / f"coverage-{camera.id}.png", coverage_picture(camera, seen))
        held_out = findings.solved.held_out
        write_png(
            folder / f"residuals-{camera.id}.png", residual_picture(camera, held_out.views, held_out.residuals_px)
        )
    (folder / "report.json").write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(_page(content), encoding="utf-8")


def summary_lines(content: Mapping[str, Any]) -> list[str]:
    """Say a report in a few lines."""
    held = content["held_out"]
    longest = content["longest_baseline"]
    lines = [
        f"verdict: {content['verdict']}",
        f"held-out corners: {_said(held['rms_px'], 'px')} rms over {held['sights']} sights",
        f"distances between neighbouring corners: {_said(held['neighbour_median_mm'], 'mm', '+')} in the median, "
        f"a single one {_said(held['neighbour_spread_mm'], 'mm')}",
        f"weakest camera: {content['weakest_camera']}",
    ]
    if longest is not None:
        one, other = longest["cameras"]
        lines.append(
            f"from {one} to {other}: {1000 * longest['m']:.0f} mm between the lenses; check it with a tape: if it "
            "is off, so is the side of the board's squares in its spec"
        )
    return lines + [f"- {reason}" for reason in content["reasons"]]


def _page(content: Mapping[str, Any]) -> str:
    frame_sets = content["frame_sets"]
    lines = ["# Calibration report", ""]
    lines += [f"- {line}" if not line.startswith("- ") else f"  {line}" for line in summary_lines(content)]
    lines += [
        f"- board `{content['board']}`, world: {content['world']}, calibration `{content['calibration_id']}`",
        f"- {frame_sets['read']} frame sets read, {frame_sets['with_board']} with the board, "
        f"{frame_sets['solved_from']} solved from; left out: {content['left_out']['sights_too_fast']} sights that "
        f"moved too fast, {content['left_out']['outlier_corners']} outlying corners",
        f"- pictures are taken {_said(content['timing']['jitter_ms'], 'ms')} (one standard deviation) off the times "
        "below",
        "",
        "| camera | lens | sights | coverage | edges | held out | late | worst known |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for camera in content["cameras"]:
        weakest = camera["weakest"]
        lines.append(
            f"| {camera['id']} | {camera['lens']['model'] if camera['lens'] else 'given'} | {camera['sights']} "
            f"| {100 * camera['coverage']:.0f} % | {_said(camera['edge_px'], 'px')} "
            f"| {_said(camera['held_out_rms_px'], 'px')} | {_said(camera['late_ms'], 'ms')} "
            f"| {'' if weakest is None else weakest['name'] + ': ' + _said(weakest['effect_px'], 'px')} |"
        )
    lines += ["", "Pictures that showed no usable board, by reason:", ""]
    for camera in content["cameras"]:
        reasons = ", ".join(f"{reason} {count}" for reason, count in camera["refused"].items()) or "none"
        lines.append(f"- {camera['id']}: {reasons}")
    for camera in content["cameras"]:
        lines += [
            "",
            f"## {camera['id']}",
            "",
            f"![Where corners were seen](coverage-{camera['id']}.png)",
            "",
            f"![How far held-out corners are off](residuals-{camera['id']}.png)",
        ]
    return "\n".join(lines) + "\n"


def _said(value: float | None, unit: str, sign: str = "") -> str:
    return "unknown" if value is None else f"{value:{sign}.2f} {unit}"


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
