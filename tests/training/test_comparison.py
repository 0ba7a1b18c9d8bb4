"""A table shows the runs of one comparison, by the views that its data have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.hand_model import HandModel
from tests.training.conftest import SMALL
from tests.training.test_levels import Source
from training.comparison import Budget, Comparison, Contender, Data, contenders
from training.feeds import WindowFeed
from training.paper import paper_numbers
from training.samples import Window
from training.tables import as_markdown, as_plain, table
from training.tabulate import run_missing, said
from training.truth import Truth

Samples = list[tuple[Window, Truth]]
Compare = Callable[[Budget], Comparison]

OFF_M = np.array([0.01, 0.0, 0.0])
WEIGHTED, EQUAL = "DLT of the labels, weighted", "DLT of the labels"


@pytest.fixture
def compare(hand_model: HandModel, small_samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compare:
    """Comparisons in one folder; what takes part reads labels, so no trunk looks at the windows."""
    monkeypatch.setattr(
        Comparison, "_seen", lambda _, source: WindowFeed([source[index] for index in range(len(source))])
    )
    # The truth is a centimetre from where labels that are exact put it.
    source = Source([(window, Truth(truth.joints_local + OFF_M)) for window, truth in small_samples])
    return lambda budget: Comparison(tmp_path, Data(source, source), SMALL, hand_model, budget)


def _dlt(hand_model: HandModel) -> list[Contender]:
    return [contender for contender in contenders(SMALL, hand_model) if contender.name in (WEIGHTED, EQUAL)]


def test_a_table_has_the_runs_of_its_own_budget_alone(compare: Compare, hand_model: HandModel) -> None:
    small, large = compare(Budget(epochs=2)), compare(Budget(epochs=3))
    weighted, equal = sorted(_dlt(hand_model), key=lambda contender: contender.name != WEIGHTED)
    small.run(weighted, 0)
    large.run(equal, 0)
    assert [run["method"] for run in small.results()] == [WEIGHTED]
    assert [run["method"] for run in large.results()] == [EQUAL]
    with pytest.raises(ValueError, match="is of a comparison with budget"):
        large.missing([weighted], [0])


def test_columns_are_those_of_the_views_that_there_are(compare: Compare, hand_model: HandModel) -> None:
    comparison, wanted = compare(Budget()), table("methods")
    ran: list[str] = []
    run_missing(wanted, [comparison], _dlt(hand_model), [0, 1], on_run=ran.append)
    # What does not learn has one seed.
    assert ran == [f"1 of 2: {EQUAL}, seed 0", f"2 of 2: {WEIGHTED}, seed 0"]
    run_missing(wanted, [comparison], _dlt(hand_model), [0, 1], on_run=ran.append)
    assert len(ran) == 2
    text, (plain,) = said(wanted, [comparison])
    # Three views are asked about as two, and there is no column of four or eight.
    heading = next(line for line in text.splitlines() if line.startswith("| method"))
    assert heading.count("views") == 1
    assert "MPJPE, 2 views | PA-J" in heading
    assert [row["method"] for row in plain["rows"]] == [EQUAL, WEIGHTED]
    for row in plain["rows"]:
        assert row["figures"]["mpjpe@2"]["mean"] == pytest.approx(10.0, abs=0.1)
        assert row["figures"]["rooted"]["mean"] == pytest.approx(0.0, abs=0.1)
        assert row["figures"]["answered"]["mean"] == 1.0


def test_a_column_of_more_views_is_of_the_most_there_are() -> None:
    data = {name: {"name": "made up", "version": "1", "windows": 1} for name in ("train", "exam")}
    run = {
        "method": EQUAL,
        "data": data,
        "budget": {"epochs": 2, "batch_size": 4, "learning_rate": 1e-3},
        "network": {"backbone": "none"},
        "figures": {"2": {"mpjpe": 3.0}, "4": {"mpjpe": 2.0}, "6": {"mpjpe": 1.0}},
    }
    text = as_markdown(table("methods"), [run])
    assert "| MPJPE, 2 views | MPJPE, 4 views | MPJPE, 6 views | PA-J |" in text
    assert f"| {EQUAL} | 1 | 3.00 | 2.00 | 1.00 | - |" in text
    figures = as_plain(table("methods"), [run])["rows"][0]["figures"]
    assert {name: figure["mean"] for name, figure in figures.items()} == {
        "mpjpe@2": 3.0,
        "mpjpe@4": 2.0,
        "mpjpe@6": 1.0,
    }


@pytest.mark.parametrize(
    ("labels", "mpjpe"), [("openpose", 7.5), ("WiLoR", 5.2), ("projected", 3.7), ("detector", None)]
)
def test_the_papers_numbers_stand_beside_the_same_kind_of_labels(labels: str, mpjpe: float | None) -> None:
    # As `usthand data import` names them; a folder of labels gives its own name.
    learnt, exam = f"HanCo train, {labels} labels, agreed across views", "HanCo test, mediapipe-full labels"
    assert paper_numbers("3", learnt, exam, "UST-Hand").get("mpjpe") == mpjpe
    assert paper_numbers("3", learnt, f"rendered bench-1, {labels} labels", "UST-Hand") == {}


def test_data_are_given_the_networks_size(
    hand_model: HandModel, small_samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def look(_: Comparison, source: Source) -> WindowFeed:
        seen.append(source[0].size_px)
        return WindowFeed([source[index] for index in range(len(source))])

    monkeypatch.setattr(Comparison, "_seen", look)
    config, source = replace(SMALL, input_px=96), Source(small_samples)
    comparison = Comparison(tmp_path, Data(source, source), config, hand_model, Budget())
    comparison.run(_dlt(hand_model)[0], 0)
    assert seen == [96]
