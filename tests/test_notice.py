"""What is said of third-party data, and of what was made of it, is of the files that are here."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_SAID = dict(re.findall(r"^(\S+\.\w+)\n  sha256  ([0-9a-f]{64})$", (_ROOT / "NOTICE").read_text(), re.MULTILINE))


def test_every_network_and_hand_model_is_in_it() -> None:
    found = {
        str(path.relative_to(_ROOT)) for kind in ("onnx", "npz") for path in _ROOT.glob(f"engine/**/data/*.{kind}")
    }
    assert found == set(_SAID)


@pytest.mark.parametrize("name", _SAID)
def test_its_digests_are_those_of_the_files(name: str) -> None:
    assert hashlib.sha256((_ROOT / name).read_bytes()).hexdigest() == _SAID[name]
