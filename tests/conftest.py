"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

import engine  # noqa: F401 - before ONNX Runtime, which it keeps from sending anything

# A busy machine is no failure: how long an example may take is not what these tests are about.
settings.register_profile("usthand", deadline=None)
settings.load_profile("usthand")


@pytest.fixture(scope="session")
def footage_dir() -> Path:
    """Folder with the real footage, `desk2` and `room4`; a test that asks for it is skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "room4" / "camera_array.toml").is_file() or not (folder / "desk2" / "cam0.mp4").is_file():
        pytest.skip(f"the real footage is not at {folder}")
    return folder
