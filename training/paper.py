"""The paper's own numbers (UST-Hand, arXiv 2605.17742, Tab. 1-5), to stand beside ours where the data is the paper's.

Tab. 1's monocular method is WiLoR; ours is MediaPipe's landmark network, whose row it stands beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DATA_SETS: Final = ("HanCo", "DexYCB-MV", "OakInk-MV")
"""The paper's data sets, by the names that sources of ours have."""

Numbers = Mapping[str, float]

_TABLE_1: Final = ("mpvpe", "pa_v", "auc_v", "f_5", "f_15", "mpjpe", "pa_j", "auc_j")
_MESH: Final = ("mpvpe", "pa_v", "mpjpe", "pa_j")
_JOINTS: Final = ("mpjpe", "pa_j")


def _rows(metrics: tuple[str, ...], rows: Mapping[str, tuple[float, ...]]) -> dict[str, Numbers]:
    return {label: dict(zip(metrics, numbers, strict=True)) for label, numbers in rows.items()}


# Rows by table and data set; Tab. 3 has a block for each kind of label.
_ROWS: Final[dict[tuple[str, str], dict[str, Numbers]]] = {
    ("1", "HanCo"): _rows(
        _TABLE_1,
        {
            "UST-Hand": (5.82, 4.13, 0.884, 0.749, 0.999, 5.19, 3.50, 0.897),
            "HaMuCo": (9.35, 5.38, 0.813, 0.581, 0.974, 8.73, 4.77, 0.826),
            "monocular detector": (12.70, 5.49, 0.746, 0.432, 0.937, 11.80, 5.95, 0.765),
            "w/o heatmap": (6.42, 4.33, 0.872, 0.716, 0.998, 5.80, 3.69, 0.884),
            "w/o projection": (6.14, 4.25, 0.877, 0.716, 0.998, 5.64, 3.80, 0.887),
            "w/o STPT": (6.05, 4.23, 0.879, 0.712, 0.998, 5.53, 3.66, 0.890),
        },
    ),
    ("1", "DexYCB-MV"): _rows(
        _TABLE_1,
        {
            "UST-Hand": (8.16, 4.81, 0.837, 0.609, 0.982, 7.84, 5.31, 0.843),
            "HaMuCo": (9.54, 5.32, 0.810, 0.539, 0.963, 9.25, 5.71, 0.816),
            "monocular detector": (10.83, 5.88, 0.787, 0.524, 0.936, 10.52, 6.08, 0.793),
            "w/o heatmap": (8.94, 5.43, 0.825, 0.554, 0.973, 8.76, 5.90, 0.825),
            "w/o projection": (8.70, 5.15, 0.826, 0.574, 0.979, 8.40, 5.59, 0.832),
            "w/o STPT": (8.78, 5.17, 0.825, 0.571, 0.976, 8.46, 5.69, 0.831),
        },
    ),
    ("1", "OakInk-MV"): _rows(
        _TABLE_1,
        {
            "UST-Hand": (10.02, 5.72, 0.800, 0.511, 0.982, 8.70, 5.58, 0.827),
            "HaMuCo": (13.04, 7.12, 0.751, 0.433, 0.937, 12.03, 6.90, 0.770),
            "monocular detector": (15.66, 7.37, 0.707, 0.429, 0.887, 15.08, 7.49, 0.718),
            "w/o heatmap": (11.75, 6.18, 0.778, 0.487, 0.977, 10.08, 5.99, 0.803),
            "w/o projection": (10.41, 5.77, 0.793, 0.501, 0.981, 9.08, 5.69, 0.820),
            "w/o STPT": (10.77, 5.86, 0.789, 0.490, 0.980, 9.01, 5.74, 0.818),
        },
    ),
    ("2", "HanCo"): _rows(
        _JOINTS,
        {
            "HaMuCo, 2 views": (10.14, 5.92),
            "UST-Hand t1, 2 views": (7.18, 4.84),
            "HaMuCo, 4 views": (9.60, 5.53),
            "UST-Hand t1, 4 views": (6.01, 3.93),
            "HaMuCo, 6 views": (8.92, 5.11),
            "UST-Hand t1, 6 views": (5.67, 3.67),
            "HaMuCo, 8 views": (8.73, 4.77),
            "UST-Hand t1, 8 views": (5.38, 3.55),
        },
    ),
    ("3 OpenPose", "HanCo"): _rows(
        _JOINTS,
        {
            "EpipolarTrans": (11.2, 9.0),
            "LT-Algebraic": (10.3, 7.8),
            "LT-Volumetric": (10.6, 8.0),
            "HaMuCo": (8.8, 5.3),
            "UST-Hand": (7.5, 5.0),
        },
    ),
    ("3 WiLoR", "HanCo"): _rows(
        _JOINTS,
        {
            "EpipolarTrans": (9.3, 7.9),
            "LT-Algebraic": (8.5, 5.7),
            "LT-Volumetric": (8.4, 5.8),
            "HaMuCo": (8.7, 4.6),
            "UST-Hand": (5.2, 3.5),
        },
    ),
    ("3 projected", "HanCo"): _rows(
        _JOINTS,
        {
            "EpipolarTrans": (6.2, 4.2),
            "LT-Algebraic": (5.5, 3.6),
            "LT-Volumetric": (5.8, 3.6),
            "HaMuCo": (6.0, 3.2),
            "UST-Hand": (3.7, 2.4),
        },
    ),
    ("4", "DexYCB-MV"): _rows(
        _MESH,
        {
            "UST-Hand": (8.16, 4.81, 7.84, 5.31),
            "w/o GCN": (8.22, 4.83, 7.90, 5.41),
            "w/o CASA": (8.28, 4.87, 7.95, 5.43),
            "w/o SpatialAttn": (8.46, 5.02, 8.18, 5.58),
            "w/o TemporalAttn": (8.55, 5.09, 8.20, 5.64),
            "w/o CrossAttn": (8.50, 4.99, 8.15, 5.59),
        },
    ),
    ("5", "HanCo"): _rows(
        _MESH,
        {
            "t1": (5.94, 4.15, 5.38, 3.55),
            "t3": (5.91, 4.10, 5.27, 3.53),
            "t5": (5.82, 4.13, 5.19, 3.50),
            "t7": (5.87, 4.07, 5.25, 3.51),
            "b1": (6.01, 4.19, 5.45, 3.62),
            "b2": (5.95, 4.17, 5.40, 3.55),
            "b3": (5.88, 4.13, 5.34, 3.51),
            "b4": (5.82, 4.13, 5.19, 3.50),
        },
    ),
    ("5", "DexYCB-MV"): _rows(
        _MESH,
        {
            "c2": (10.90, 7.06, 10.48, 7.12),
            "c4": (9.63, 6.02, 9.33, 6.19),
            "c6": (8.41, 5.16, 8.17, 5.61),
            "c8": (8.16, 4.81, 7.84, 5.31),
        },
    ),
}
# The paper's 2D ground truth is what `usthand data import` calls projected.
_LABELS: Final = ("OpenPose", "WiLoR", "projected")


def paper_numbers(table: str, train_name: str, exam_name: str, label: str) -> Numbers:
    """The paper's numbers of a row; none where the data is not the paper's, or the paper has no such row.

    Args:
        table: `1` to `5`.
        train_name: What the training data are called; Tab. 3 reads the kind of labels from it.
        exam_name: What the data that was measured on are called.
        label: The row's.
    """
    data = next((name for name in DATA_SETS if name.lower() in exam_name.lower()), None)
    if data is None:
        return {}
    if table == "3":
        kind = next((kind for kind in _LABELS if kind.lower() in train_name.lower()), None)
        table = f"3 {kind}"
    return _ROWS.get((table, data), {}).get(label, {})
