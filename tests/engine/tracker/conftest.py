"""Engines that are closed after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from engine.tracker.config import TrackerConfig
from tests.engine.tracker.support import Show

MakeShow = Callable[..., Show]


@pytest.fixture
def make_show() -> Iterator[MakeShow]:
    made: list[Show] = []

    def make(config: TrackerConfig | None = None, **more: object) -> Show:
        made.append(Show(config, **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.engine.close()


@pytest.fixture
def show(make_show: MakeShow) -> Show:
    return make_show()
