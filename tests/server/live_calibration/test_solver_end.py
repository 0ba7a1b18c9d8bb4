"""What is left of a solver when the service's process is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.capture.support import alive, wait_for

PROGRAM = """
import sys, threading
from server.live_calibration.solver import SolveJob, SolverRun

class HangingSpec(str):
    def strip(self, *characters):
        print("solving", flush=True)
        threading.Event().wait()

if __name__ == "__main__":
    run = SolverRun(SolveJob(HangingSpec(), {}, 0, (), {}, {}, "auto", "", "desk"))
    print(run._process.pid, flush=True)
    sys.stdin.read()
"""


def test_a_solver_ends_with_a_killed_service(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    root = Path(__file__).resolve().parents[3]
    process = subprocess.Popen(
        [sys.executable, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert process.stdout is not None
    solver = int(process.stdout.readline())
    try:
        assert process.stdout.readline() == "solving\n"
        assert alive(solver)
        process.kill()
        process.wait(20)
        wait_for(lambda: not alive(solver), "the solver ends")
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.kill(solver, signal.SIGKILL)
        raise
    finally:
        process.kill()
        process.communicate()
