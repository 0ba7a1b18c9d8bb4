"""Ending the process while a thread is still inside of an engine."""

from __future__ import annotations

import logging
import os
import sys
import threading

from server.models import MODEL_THREAD
from server.pipeline import ENGINE_THREAD


def leave_what_remains() -> None:
    """End the process here and now if an engine did not come back; all else must have been ended.

    Left to itself, Python takes down a thread that comes back from native code by an exception that C++ knows nothing
    of: the process aborts, and an end that was asked for looks like a crash.
    """
    if any(thread.name in (ENGINE_THREAD, MODEL_THREAD) for thread in threading.enumerate()):
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(0)
