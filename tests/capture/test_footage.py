"""What only real recordings show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from capture import CaptureSession, FrameSet
from capture.grabbers.timestamps import load_timestamps
from capture.rig_config import FileSource
from capture.synchronizer import Synchronizer
from tests.capture.support import config_of, drain, rig_of, stamped

pytestmark = pytest.mark.footage


def test_room4_sets_have_the_recorded_skew(footage_dir: Path) -> None:
    room = footage_dir / "room4"
    sources = [stamped(room / f"cam_{i}.mp4", room / "timestamps.csv", str(i)) for i in range(4)]
    config = config_of(*sources, max_skew_ms=45)
    skews: list[float] = []
    with CaptureSession(config, rig_of(config, 1280, 720), mode="lossless") as session:
        assert drain(session, lambda frame_set: skews.append(frame_set.skew_ms)) == 111
        assert all(state.drops == {} for state in session.states())
    offsets = np.array([load_timestamps(room / "timestamps.csv", str(i)).offsets_ns for i in range(4)])
    assert np.allclose(skews, np.ptp(offsets, axis=0) / 1e6)
    assert np.median(skews) == pytest.approx(3, abs=0.5)
    assert np.percentile(skews, 95) == pytest.approx(21, abs=1)


def test_room4_masks_the_one_view_that_is_further_off_than_40_ms(footage_dir: Path) -> None:
    path = footage_dir / "room4" / "timestamps.csv"
    matcher: Synchronizer[int] = Synchronizer(4, 40, lossless=True)
    for camera in range(4):
        for stamp_ns in load_timestamps(path, str(camera)).offsets_ns:
            matcher.push(camera, stamp_ns, stamp_ns, 0)
        matcher.set_present(camera, False)
    views = []
    while (match := matcher.pop(0)) is not None:
        views.append(sum(item is not None for item in match.items))
    assert sorted(views) == [3] + [4] * 110
    assert [d for camera in range(4) if (d := matcher.drops(camera))] == [{"unmatched": 1}]


def test_desk2_has_252_sets(footage_dir: Path) -> None:
    config = config_of(*(FileSource(path=footage_dir / "desk2" / f"cam{i}.mp4") for i in range(2)))
    means: list[float] = []

    def look(frame_set: FrameSet) -> None:
        assert len(frame_set.view_ids) == 2
        means.append(float(np.mean([f.image_bgr[::16, ::16].mean() for f in frame_set.frames if f is not None])))

    with CaptureSession(config, rig_of(config, 720, 720), mode="lossless") as session:
        assert drain(session, look) == 252
    assert min(means) > 20, "a frame is black: it was not written where it is read"
