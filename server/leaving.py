"""Ending the process while a thread is still inside of an engine."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterable
from typing import Final

ENGINE_THREAD: Final = "usthand-engine"
MODEL_THREAD: Final = "usthand-model"


def leave_what_remains(status: int, others: Iterable[threading.Thread]) -> None:
    """End the process here and now if an engine did not come back; all else must have been ended.

    Left to itself, Python takes down a thread that comes back from native code by an exception that C++ knows nothing
    of: the process aborts, and an end that was asked for looks like a crash.

    Args:
        status: The exit status.
        others: Threads that are not this command's, but of a program that called it.
    """
    started = set(threading.enumerate()) - set(others)
    if any(thread.name in (ENGINE_THREAD, MODEL_THREAD) for thread in started):
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)
