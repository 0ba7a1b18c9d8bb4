"""The viewer's timeline: what its bins hold, and where they lie on the canvas."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.server.viewer.node import Run, needs_node

pytestmark = needs_node

BINS = """
const { TimelineBins, STAGES } = await import("./js/timeline/bins.js");
const { timelineLayout, usualMost, roundUp, ageAt, shownCauses } = await import("./js/timeline/layout.js");
const { momentInWords, recentStageMs } = await import("./js/timeline/timeline_words.js");
const bins = new TimelineBins(1000, 60);
"""

STEADY = (
    BINS
    + """
for (let ms = 5000; ms < 65000; ms += 40) {
  bins.addMessage(ms, 4, 30, 1);
  bins.addShown(ms + 9, 10, 45);
}
"""
)


def test_a_steady_stream_has_its_rate_and_its_stages_in_every_second(run: Run) -> None:
    body = STEADY + (
        "return { rates: [1, 20, 58].map((age) => bins.rateHz(age)),"
        "stages: STAGES.map((_, s) => [bins.stageMs(s, 7), recentStageMs(bins, s)]),"
        "worst: bins.worst[bins.place(7)], words: momentInWords(bins, 7), none: momentInWords(bins, 60) };"
    )
    answer = run(body)
    assert answer["rates"] == [25, 25, 25]
    assert answer["stages"] == [[4, 4], [30, 30], [1, 1], [10, 10]]
    assert answer["worst"] == 45
    assert (
        answer["words"].replace("\u202f", " ")
        == "7 s ago: 25 Hz · 45 ms = camera 4 + engine 30 + sending 1 + page 10, slowest 45 ms"
    )
    assert answer["none"].endswith("nothing yet")


@pytest.mark.parametrize("silent_ms", [3000, 59_000, 60_000, 500_000])
def test_silence_is_empty_and_not_what_was_there_a_minute_before(run: Run, silent_ms: int) -> None:
    body = STEADY + (
        "const before = 64; bins.advance(65000 + given - 1000);"
        "const ages = Array.from({ length: 59 }, (_, i) => i + 1);"
        "return ages.map((age) => [bins.newest - age, bins.rateHz(age), bins.stageMs(1, age)]);"
    )
    for bin_number, rate_hz, engine_ms in run(body, silent_ms):
        filled = 5 <= bin_number < 65
        assert (rate_hz, engine_ms) == ((25, 30) if filled else (0, 0)), bin_number


@pytest.mark.parametrize(("from_ms", "to_ms"), [(10_000, 12_000), (10_300, 12_900), (11_100, 11_300), (12_000, 12_000)])
def test_drops_are_spread_over_the_time_in_which_they_were_counted(run: Run, from_ms: int, to_ms: int) -> None:
    body = (
        BINS
        + """
    bins.advance(9000);
    bins.addDrops("late", 30, given.from, given.to);
    const counted = Array.from({ length: 6 }, (_, age) => [bins.newest - age, bins.dropped("late", age)]);
    return { bins: counted, causes: bins.causes() };
    """
    )
    answer = run(body, {"from": from_ms, "to": to_ms})
    assert sum(count for _, count in answer["bins"]) == pytest.approx(30)
    assert all(from_ms // 1000 - 1 <= number <= to_ms // 1000 for number, count in answer["bins"] if count)
    assert answer["causes"] == [["late", pytest.approx(30)]]


def test_drops_older_than_the_timeline_are_left_out(run: Run) -> None:
    body = BINS + 'bins.addDrops("late", 120, 0, 120000); return bins.causes();'
    ((cause, total),) = run(body)
    assert cause == "late"
    assert total == pytest.approx(59, abs=1.01)


LAYOUT = (
    STEADY
    + """
for (const [cause, count] of Object.entries(given.drops ?? {})) bins.addDrops(cause, count, 62000, 64000);
bins.advance(65000);
const layout = timelineLayout(bins, given.width, given.height);
const ages = Array.from({ length: 59 }, (_, i) => 59 - i);
const middles = layout.rateLine.map(({ x }) => ageAt(bins, x, given.width));
return { layout, ages, middles, causes: shownCauses(bins) };
"""
)


@pytest.mark.parametrize(("width", "height"), [(640, 200), (300, 120), (40, 20)])
def test_everything_lies_inside_and_stages_stack_up(run: Run, width: int, height: int) -> None:
    drops = {"behind": 40, "late": 20, "unmatched": 9, "overwritten": 4, "ring_full": 2, "disordered": 1}
    answer = run(LAYOUT, {"width": width, "height": height, "drops": drops})
    layout: dict[str, Any] = answer["layout"]
    lanes = [layout[name] for name in ("rate", "latency", "drops")]
    assert all(above["bottom"] < below["top"] for above, below in pairwise(lanes))
    latency = layout["latency"]
    scale = (latency["bottom"] - latency["top"]) / latency["most"]
    for below, area in zip([None, *layout["areas"]], layout["areas"], strict=False):
        heights = [low["y"] - up["y"] for low, up in zip(area["lower"], area["upper"], strict=True)]
        stage_ms = {"camera": 4, "engine": 30, "sending": 1, "page": 10}[area["stage"]]
        assert heights[30] == pytest.approx(stage_ms * scale)
        if below is not None:
            assert area["lower"] == below["upper"]
    points = [*layout["rateLine"], *layout["worst"], *(p for area in layout["areas"] for p in area["upper"])]
    assert all(layout["left"] <= point["x"] <= layout["right"] for point in points)
    assert all(lanes[0]["top"] - 1e-9 <= point["y"] <= lanes[1]["bottom"] + 1e-9 for point in points)
    boxes = [box for bar in layout["bars"] for box in bar["boxes"]]
    assert all(
        lanes[2]["top"] - 1e-9 <= box["y"] <= box["y"] + box["height"] <= lanes[2]["bottom"] + 1e-9 for box in boxes
    )
    # Pointing at what is drawn finds the second that it was drawn for.
    assert answer["middles"] == answer["ages"]
    # Four causes by name; the rest together.
    assert [bar["cause"] for bar in layout["bars"]] == ["behind", "late", "unmatched", "overwritten", "others"]
    assert answer["causes"]["rest"] == ["ring_full", "disordered"]


def test_one_slow_second_does_not_flatten_the_minute(run: Run) -> None:
    body = BINS + "return given.map((values) => usualMost(values));"
    steady, spike, rising, empty = run(body, [[40] * 59, [2000] + [40] * 58, list(range(59)), []])
    assert steady == 40
    assert 40 <= spike < 100
    assert rising == 58
    assert empty == 0


def test_scales_end_at_round_numbers(run: Run) -> None:
    values = [0, 3, 20, 20.1, 49, 50, 77, 100, 100.5, 999, 12345]
    body = BINS + "return given.map((value) => roundUp(value, 20));"
    rounded = run(body, values)
    assert rounded == [20, 20, 20, 50, 50, 50, 100, 100, 200, 1000, 20000]
    assert all(value <= up for value, up in zip(values, rounded, strict=True))
