"""What the tests of the network share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def no_grad() -> Iterator[None]:
    """Without gradients, as a service runs; on one thread, since small tensors only wait for more."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)
