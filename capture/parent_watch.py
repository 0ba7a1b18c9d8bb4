"""The end of a child process when its parent ends, however that ends."""

from __future__ import annotations

import os
import threading
from multiprocessing import connection, parent_process


def end_with_parent() -> None:
    """End this process with its parent from now on, even while its main thread is blocked by what it called."""
    threading.Thread(target=_follow_parent, name="parent-watch", daemon=True).start()


def _follow_parent() -> None:  # pragma: no cover - runs in a process of its own
    if (parent := parent_process()) is not None:
        connection.wait([parent.sentinel])
    os._exit(1)
