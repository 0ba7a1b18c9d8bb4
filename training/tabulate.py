"""A table from beginning to end: run what is missing, then say what there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from training.comparison import Comparison, Contender
from training.fit import StepReport
from training.tables import Table, as_markdown, as_plain, goals


def run_missing(
    wanted: Table,
    comparisons: Sequence[Comparison],
    methods: Sequence[Contender],
    seeds: Sequence[int],
    *,
    only: Sequence[str] = (),
    on_run: Callable[[str], None] = lambda _: None,
    on_step: Callable[[StepReport], None] = lambda _: None,
) -> None:
    """Run what a table needs and is not there yet.

    Args:
        wanted: The table.
        comparisons: One for each data to learn from.
        methods: All contenders.
        seeds: Of the runs.
        only: Names of contenders; nothing else is run. Empty is all.
        on_run: Told before each run.
        on_step: Told about each step.

    Raises:
        ValueError: If `only` names none that the table has.
    """
    if unknown := sorted(set(only) - wanted.methods):
        raise ValueError(
            f"table {wanted.name} has no method {unknown[0]!r}; it has {', '.join(sorted(wanted.methods))}"
        )
    chosen = [method for method in methods if method.name in (set(only) or wanted.methods)]
    for comparison in comparisons:
        missing = comparison.missing(chosen, seeds)
        for number, (contender, seed) in enumerate(missing):
            on_run(f"{number + 1} of {len(missing)}: {contender.name}, seed {seed}")
            comparison.run(contender, seed, on_step)


def said(wanted: Table, comparisons: Sequence[Comparison]) -> tuple[str, list[dict[str, Any]]]:
    """The table as Markdown and as plain maps, a block for each data to learn from."""
    texts: list[str] = []
    plain: list[dict[str, Any]] = []
    for comparison in comparisons:
        results = comparison.results()
        text = as_markdown(wanted, results)
        content = as_plain(wanted, results)
        if wanted.name == "methods" and (lines := goals(results)):
            text += "\n### Goals\n\n" + "\n".join(lines) + "\n"
            content["goals"] = lines
        texts.append(text)
        plain.append(content)
    return "\n".join(texts), plain
