from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.viewer.node import Run, modules_in

MODULES = Path(__file__).parents[3] / "server" / "viewer" / "js"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return modules_in(tmp_path_factory.mktemp("viewer"), js=MODULES)
