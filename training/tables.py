"""Tables of a comparison: the paper's five, and the one with every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from training.ablations import FULL
from training.baselines import (
    EpipolarTransformer,
    HaMuCo,
    LabelDlt,
    LtAlgebraic,
    LtVolumetric,
    Monocular,
    RobustLabelDlt,
    S2Hand,
)
from training.paper import paper_numbers

Result = dict[str, Any]
"""The content of a run's file (`training.comparison`)."""

# Heading and digits of each figure.
_HEADINGS: Final[dict[str, tuple[str, int]]] = {
    "mpjpe": ("MPJPE", 2),
    "pa_j": ("PA-J", 2),
    "rooted": ("MPJPE, wrist given", 2),
    "mpvpe": ("MPVPE", 2),
    "pa_v": ("PA-V", 2),
    "f_5": ("F@5", 3),
    "f_15": ("F@15", 3),
    "auc_j": ("AUC-J", 3),
    "auc_v": ("AUC-V", 3),
    "coverage_50": ("in 50 %", 3),
    "coverage_90": ("in 90 %", 3),
    "coverage_99": ("in 99 %", 3),
    "answered": ("answered", 3),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A figure.

    Args:
        metric: Its name in a run's file.
        views: At so many views; None is the row's.
    """

    metric: str
    views: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A method.

    Args:
        label: What the table calls it.
        method: The contender's name.
        views: Seen by so many views; None is the most there are.
    """

    label: str
    method: str
    views: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """What stands where.

    Args:
        name: `1` to `5`, or `methods`.
        title: Above it.
        columns: The figures.
        rows: The methods.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def methods(self) -> frozenset[str]:
        """The contenders that it needs."""
        return frozenset(row.method for row in self.rows)


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure over the seeds.

    Args:
        mean: Its mean.
        spread: Its standard deviation; None with one seed.
        seeds: How many.
        paper: The paper's own number; None where it has none of this data.
    """

    mean: float
    spread: float | None
    seeds: int
    paper: float | None


def table(name: str) -> Table:
    """Return a table by its name.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in _TABLES:
        raise ValueError(f"table {name!r} is not known; use one of {', '.join(_TABLES)}")
    return _TABLES[name]


def columns_of(wanted: Table, results: Sequence[Result]) -> tuple[Column, ...]:
    """A table's columns for data that may have fewer views than the paper's: those of more are the most there are."""
    most = _most_views(results)
    capped = [
        column if column.views is None else Column(column.metric, min(column.views, most)) for column in wanted.columns
    ]
    return tuple(dict.fromkeys(capped))


def _most_views(results: Sequence[Result]) -> int:
    return max((int(views) for result in results for views in result["figures"]), default=0)


def filled(wanted: Table, results: Sequence[Result]) -> list[tuple[Row, list[Cell | None]]]:
    """Fill a table in, by `columns_of` it; rows whose method has no run are left out."""
    columns = columns_of(wanted, results)
    lines: list[tuple[Row, list[Cell | None]]] = []
    for row in wanted.rows:
        runs = [result for result in results if result["method"] == row.method]
        most = _most_views(runs)
        if not runs or (row.views is not None and row.views > most):
            continue
        data = runs[0]["data"]
        paper = paper_numbers(wanted.name, data["train"]["name"], data["exam"]["name"], row.label)
        cells = []
        for column in columns:
            views = str(column.views or row.views or most)
            values = [run["figures"].get(views, {}).get(column.metric) for run in runs]
            cells.append(_cell([value for value in values if value is not None], paper.get(column.metric)))
        lines.append((row, cells))
    return lines


def as_markdown(wanted: Table, results: Sequence[Result]) -> str:
    """A table as Markdown, with what it was made of."""
    lines = filled(wanted, results)
    if not lines:
        return f"## {wanted.title}\n\nNo run of its methods is there.\n"
    data = results[0]["data"]
    columns = columns_of(wanted, results)
    headings = [_heading(column) for column in columns]
    text = [f"## {wanted.title}", ""]
    text.append(f"Learnt from {_told(data['train'])}; measured on {_told(data['exam'])}. {_budget(results[0])}")
    text += ["", f"| method | seeds | {' | '.join(headings)} |", f"|---|{'---|' * (len(headings) + 1)}"]
    for row, cells in lines:
        seeds = max((cell.seeds for cell in cells if cell is not None), default=0)
        shown = [_shown(cell, column) for cell, column in zip(cells, columns, strict=True)]
        text.append(f"| {row.label} | {seeds} | {' | '.join(shown)} |")
    return "\n".join([*text, ""])


def as_plain(wanted: Table, results: Sequence[Result]) -> dict[str, Any]:
    """A table as plain maps, for JSON."""
    return {
        "table": wanted.name,
        "title": wanted.title,
        "data": results[0]["data"] if results else None,
        "budget": results[0]["budget"] if results else None,
        "rows": [
            {
                "label": row.label,
                "method": row.method,
                "views": row.views,
                "figures": {
                    column.metric if column.views is None else f"{column.metric}@{column.views}": {
                        "mean": cell.mean,
                        "spread": cell.spread,
                        "seeds": cell.seeds,
                        "paper": cell.paper,
                    }
                    for column, cell in zip(columns_of(wanted, results), cells, strict=True)
                    if cell is not None
                },
            }
            for row, cells in filled(wanted, results)
        ],
    }


def as_list(name: str, data: dict[str, Any], figures: Mapping[int, Mapping[str, float]]) -> str:
    """Figures of one method by the number of views, as Markdown.

    Args:
        name: What the method is called.
        data: What it was measured on: name, version, number of windows.
        figures: By views and metric.
    """
    shown = [metric for metric in _HEADINGS if any(metric in each for each in figures.values())]
    lines = [f"## {name}", "", f"Measured on {_told(data)}. Lengths in mm.", ""]
    lines.append(f"| views | {' | '.join(_HEADINGS[metric][0] for metric in shown)} |")
    lines.append(f"|---|{'---|' * len(shown)}")
    for views, each in figures.items():
        numbers = [f"{each[metric]:.{_HEADINGS[metric][1]}f}" if metric in each else "-" for metric in shown]
        lines.append(f"| {views} | {' | '.join(numbers)} |")
    return "\n".join([*lines, ""])


def goals(results: Sequence[Result]) -> list[str]:
    """What the comparison is asked to show, and whether it does; one line each, of what can be said already."""
    views = [max(run["figures"], key=int) for run in results]
    most = max(views, key=int, default="")
    full = _mean(results, FULL, most)
    if full is None:
        return []
    lines = []
    classical = {name: _mean(results, name, most) for name in (*_CLASSICAL, RobustLabelDlt.name)}
    learned = {name: _mean(results, name, most) for name in _LEARNED}
    for kind, others, goal in (("classical", classical, 0.75), ("learned baseline", learned, 0.85)):
        known = {name: value for name, value in others.items() if value is not None}
        if known:
            best = min(known, key=lambda name: known[name])
            lines.append(_judged(f"MPJPE over that of the best {kind} ({best})", full / known[best], goal))
    two = _mean(results, FULL, "2")
    if two is not None and most != "2":
        lines.append(_judged(f"MPJPE with 2 views over that with {most}", two / full, 1.5))
    worse: list[str] = []
    better: list[str] = []
    for name in dict.fromkeys(run["method"] for run in results):
        value = _mean(results, name, most)
        if name.startswith(f"{FULL} ") and value is not None:
            (worse if value > full else better).append(f"{name.removeprefix(f'{FULL} ')} ({value / full:.3f})")
    if worse or better:
        told = f"no: not worse are {', '.join(better)}" if better else "yes"
        lines.append(f"- every ablation is worse: {told}; worse are {', '.join(worse) or 'none'}")
    covered = _mean(results, FULL, most, "coverage_90")
    if covered is not None:
        met = "met" if 0.85 <= covered <= 0.95 else "missed"
        lines.append(f"- share of joints in the 90 % ellipsoids: {covered:.3f} (goal 0.85 to 0.95): {met}")
    return lines


def _judged(what: str, ratio: float, goal: float) -> str:
    return f"- {what}: {ratio:.3f} (goal at most {goal}): {'met' if ratio <= goal else 'missed'}"


def _mean(results: Sequence[Result], method: str, views: str, metric: str = "mpjpe") -> float | None:
    values = [run["figures"].get(views, {}).get(metric) for run in results if run["method"] == method]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _cell(values: list[float], paper: float | None) -> Cell | None:
    if not values:
        return None
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Cell(float(np.mean(values)), spread, len(values), paper)


def _heading(column: Column) -> str:
    heading, _ = _HEADINGS[column.metric]
    return heading if column.views is None else f"{heading}, {column.views} views"


def _shown(cell: Cell | None, column: Column) -> str:
    if cell is None:
        return "-"
    digits = _HEADINGS[column.metric][1]
    text = f"{cell.mean:.{digits}f}"
    if cell.spread is not None:
        text += f" ± {cell.spread:.{digits}f}"
    return text if cell.paper is None else f"{text} (paper {cell.paper:g})"


def _told(source: dict[str, Any]) -> str:
    return f"{source['windows']} windows of {source['name']} (version {source['version']})"


def _budget(result: Result) -> str:
    budget = result["budget"]
    return (
        f"Trunk {result['network']['backbone']}, fixed; {budget['epochs']} epochs, {budget['batch_size']} windows a "
        f"step, Adam at {budget['learning_rate']:g}, a tenth of it after two thirds. Lengths in mm; mean and standard "
        "deviation over the seeds."
    )


_CLASSICAL: Final = (LabelDlt().name, LabelDlt(weighted=True).name)
_LEARNED: Final = (
    LtAlgebraic.name,
    LtVolumetric.name,
    EpipolarTransformer.name,
    HaMuCo.name,
    S2Hand.name,
)
_ABLATED: Final = ("GCN", "CASA", "SpatialAttn", "TemporalAttn", "CrossAttn")
_MESH: Final = tuple(Column(metric) for metric in ("mpvpe", "pa_v", "mpjpe", "pa_j"))
_JOINTS: Final = (Column("mpjpe"), Column("pa_j"))


def _variants(*names: str) -> tuple[Row, ...]:
    return tuple(Row(name, f"{FULL} {name}") for name in names)


_TABLES: Final = {
    "methods": Table(
        "methods",
        "Every method and ablation",
        (
            *(Column("mpjpe", views) for views in (2, 4, 8)),
            *(
                Column(metric)
                for metric in (
                    "pa_j", "rooted", "auc_j", "mpvpe", "pa_v", "f_5", "f_15", "auc_v",
                    "coverage_50", "coverage_90", "coverage_99", "answered",
                )
            ),
        ),
        (
            *(Row(name, name) for name in (*_CLASSICAL, RobustLabelDlt.name, Monocular.name, S2Hand.name)),
            *(Row(name, name) for name in (EpipolarTransformer.name, LtAlgebraic.name, LtVolumetric.name)),
            Row(HaMuCo.name, HaMuCo.name),
            Row(FULL, FULL),
            *_variants("w/o heatmap", "w/o projection", "w/o STPT"),
            *_variants(*(f"w/o {part}" for part in _ABLATED), "w/o trunk joints"),
            *_variants("t1", "t3", "t7", "b1", "b2", "b3"),
        ),
    ),
    "1": Table(
        "1",
        "Tab. 1: methods and ablations",
        tuple(Column(name) for name in ("mpvpe", "pa_v", "auc_v", "f_5", "f_15", "mpjpe", "pa_j", "auc_j")),
        (
            Row(FULL, FULL),
            Row(HaMuCo.name, HaMuCo.name),
            Row("monocular detector", Monocular.name),
            *_variants("w/o heatmap", "w/o projection", "w/o STPT"),
        ),
    ),
    "2": Table(
        "2",
        "Tab. 2: number of views",
        _JOINTS,
        tuple(
            Row(f"{method}, {views} views", method, views)
            for views in (2, 4, 6, 8)
            for method in (HaMuCo.name, f"{FULL} t1")
        ),
    ),
    "3": Table(
        "3",
        "Tab. 3: quality of the labels",
        _JOINTS,
        tuple(
            Row(name, name)
            for name in (EpipolarTransformer.name, LtAlgebraic.name, LtVolumetric.name, HaMuCo.name, FULL)
        ),
    ),
    "4": Table(
        "4",
        "Tab. 4: parts of feature interaction and STPT",
        _MESH,
        (Row(FULL, FULL), *_variants(*(f"w/o {part}" for part in _ABLATED))),
    ),
    "5": Table(
        "5",
        "Tab. 5: frames, STPT blocks and cameras",
        _MESH,
        (
            *_variants("t1", "t3"),
            Row("t5", FULL),
            *_variants("t7", "b1", "b2", "b3"),
            Row("b4", FULL),
            *(Row(f"c{views}", FULL, views) for views in (2, 4, 6, 8)),
        ),
    ),
}  # fmt: skip
