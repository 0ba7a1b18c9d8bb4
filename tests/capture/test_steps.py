"""What replayed cameras leave out together, in a time that goes on only where all of them wait."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from capture.grabbers import Grab, Grabber
from capture.grabbers.image_folder import ImageFolderGrabber
from capture.grabbers.pacing import PATIENCE_NS, Pacer
from capture.grabbers.steps import Steps
from capture.grabbers.video_file import VideoFileGrabber
from capture.rig_config import FileSource, ImagesSource
from capture.shared_memory import Segment
from tests.capture.support import DEADLINE_S, HEIGHT, WIDTH, grey_of, write_video

MS = 1_000_000
FRAME_NS = 100 * MS
SKEW_NS = 8 * MS
EPOCH_NS = 1_000_000 * MS
NEVER_NS = 1 << 62


class Machine:
    """Runs cameras in threads, one at a time: always the one whose time comes next."""

    def __init__(self, cameras: int) -> None:
        self.time_ns = EPOCH_NS
        self._wakes_ns = [EPOCH_NS] * cameras
        self._changed = threading.Condition()

    def sleep_until(self, place: int, time_ns: int) -> None:
        with self._changed:
            self._wakes_ns[place] = time_ns
            self._changed.notify_all()
            if time_ns < NEVER_NS:
                assert self._changed.wait_for(lambda: self._wakes_ns.index(min(self._wakes_ns)) == place, DEADLINE_S)
                self.time_ns = time_ns

    def work(self, place: int, took_ns: int) -> None:
        self.sleep_until(place, self.time_ns + took_ns)

    def run(self, *bodies: Callable[[], None]) -> None:
        def alone(place: int, body: Callable[[], None]) -> None:
            try:
                self.sleep_until(place, EPOCH_NS)
                body()
            finally:
                self.sleep_until(place, NEVER_NS)

        with ThreadPoolExecutor(len(bodies)) as pool:
            for camera in [pool.submit(alone, *pair) for pair in enumerate(bodies)]:
                camera.result()


class Clock:
    """A camera's view of the machine's time."""

    def __init__(self, machine: Machine, place: int) -> None:
        self.machine = machine
        self.place = place

    def now_ns(self) -> int:
        return self.machine.time_ns

    def wait_until(self, time_ns: int) -> bool:
        self.machine.sleep_until(self.place, max(time_ns, self.machine.time_ns))
        return True


def rig_of_two(skew_ns: int = SKEW_NS) -> tuple[Machine, list[Clock], list[Steps]]:
    machine, segment = Machine(2), Segment(Steps.bytes_for(2), "-")
    steps = [Steps(segment, 2, place, skew_ns) for place in range(2)]
    return machine, [Clock(machine, place) for place in range(2)], steps


def test_nobody_waits_long_for_a_camera_that_hangs_nor_at_all_for_one_that_left() -> None:
    machine, clocks, steps = rig_of_two()
    late_ns: dict[int, int] = {}

    def sound() -> None:
        pacer = Pacer(clocks[0], True, steps[0], EPOCH_NS)
        for frame in range(20):
            if frame == 10:
                steps[1].leave()
            if pacer.turn(frame * FRAME_NS, (frame + 1) * FRAME_NS) == "due":
                late_ns[frame] = machine.time_ns - EPOCH_NS - frame * FRAME_NS

    def hanging() -> None:
        pacer = Pacer(clocks[1], True, steps[1], EPOCH_NS)
        for frame in range(3):
            assert pacer.turn(frame * FRAME_NS, (frame + 1) * FRAME_NS) == "due"

    machine.run(sound, hanging)
    apart = PATIENCE_NS // FRAME_NS
    assert sorted(late_ns) == [0, 1, *range(2, 10, apart), *range(10, 20)]
    assert max(late_ns.values()) <= 10 * MS


def test_nobody_waits_for_a_camera_that_has_far_to_catch_up() -> None:
    machine, clocks, steps = rig_of_two()
    shown: list[list[int]] = [[], []]

    def camera(place: int, stops_at: int) -> Callable[[], None]:
        def body() -> None:
            pacer = Pacer(clocks[place], True, steps[place], EPOCH_NS)
            for frame in range(40):
                if pacer.turn(frame * FRAME_NS, (frame + 1) * FRAME_NS) == "due":
                    shown[place].append(frame)
                if frame == stops_at:
                    machine.work(place, 1500 * MS)
                machine.work(place, 50 * MS)

        return body

    machine.run(camera(0, -1), camera(1, 5))
    missed = set(range(40)) - set(shown[0])
    assert missed.isdisjoint(range(21, 31)), "the other catches up"
    assert set(shown[1]) >= set(range(36, 40)), "it is taken back"


@pytest.mark.parametrize(("rate", "phase_ns"), [(1, 0), (2, 0), (3, 5 * MS), (1, 40 * MS)])
def test_cameras_of_other_rates_and_phases_wait_for_nobody(rate: int, phase_ns: int) -> None:
    machine, clocks, steps = rig_of_two()

    def camera(place: int, interval_ns: int, phase_ns: int) -> Callable[[], None]:
        def body() -> None:
            pacer = Pacer(clocks[place], True, steps[place], EPOCH_NS)
            for offset_ns in range(phase_ns, 20 * FRAME_NS, interval_ns):
                assert pacer.turn(offset_ns, offset_ns + interval_ns) == "due"
                assert machine.time_ns - EPOCH_NS - offset_ns <= 3 * MS
                machine.work(place, 2 * MS)
            steps[place].leave()

        return body

    machine.run(camera(0, FRAME_NS, 0), camera(1, FRAME_NS // rate, phase_ns))


def test_a_camera_that_catches_up_shows_that_it_lives_and_ends_when_asked() -> None:
    class Asked(Clock):
        def wait_until(self, time_ns: int) -> bool:  # noqa: ARG002 - the session is ending
            return False

    machine, _, steps = rig_of_two()
    machine.time_ns += 10_000 * MS
    assert Pacer(Asked(machine, 0), True, steps[0], EPOCH_NS).turn(0, FRAME_NS) == "end"


def replayed(folder: Path, kind: str, clock: Clock, steps: Steps) -> Grabber:
    if kind == "file":
        grabber: Grabber = VideoFileGrabber(FileSource(path=folder / "v.avi"), "live", clock, steps)
    else:
        grabber = ImageFolderGrabber(ImagesSource(path=folder, fps=10), "live", clock, steps)
    grabber.open()
    grabber.start(EPOCH_NS)
    return grabber


@pytest.mark.parametrize("skew_ms", [8, 250])
@pytest.mark.parametrize("kind", ["file", "images"])
def test_cameras_that_are_slow_by_turns_leave_out_the_same_frames(kind: str, skew_ms: int, tmp_path: Path) -> None:
    if kind == "file":
        write_video(tmp_path / "v.avi", 60, fps=10)
    else:
        for i in range(60):
            cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((HEIGHT, WIDTH, 3), grey_of(i), np.uint8))
    machine, clocks, steps = rig_of_two(skew_ms * MS)
    shown: list[list[Grab]] = [[], []]

    def camera(place: int) -> Callable[[], None]:
        def body() -> None:
            grabber = replayed(tmp_path, kind, clocks[place], steps[place])
            into, rng = np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.random.default_rng(place)
            while isinstance(grab := grabber.grab(into), Grab):
                shown[place].append(grab)
                machine.work(place, min(int(rng.exponential(90)), 280) * MS)
            steps[place].leave()
            assert sum(grab.behind for grab in shown[place]) + len(shown[place]) == shown[place][-1].index + 1

        return body

    machine.run(camera(0), camera(1))
    views = Counter(grab.index for grabs in shown for grab in grabs)
    assert 15 < len(views) < 50, "some are left out"
    if skew_ms * MS < FRAME_NS / 2:
        assert set(views.values()) == {2}, "a set has a hole"
    for grabs in shown:
        assert all(grab.behind == grab.index - before.index - 1 for before, grab in itertools.pairwise(grabs))
