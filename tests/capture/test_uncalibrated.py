from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from capture.errors import CaptureError
from capture.rig_config import load_rig_config
from capture.session import CaptureSession
from capture.uncalibrated import stand_in_rig


def rig_file(folder: Path, source: str) -> Path:
    for name, size in (("a", (64, 48)), ("b", (32, 24))):
        (folder / name).mkdir()
        for number in range(3):
            cv2.imwrite(str(folder / name / f"{number}.png"), np.full((size[1], size[0], 3), number, np.uint8))
    text = f"cameras:\n  - {{id: a, source: {{type: images, path: a}}}}\n  - {{id: b, source: {source}}}\n"
    (folder / "rig.yaml").write_text(text)
    return folder / "rig.yaml"


def test_footage_is_captured_without_a_calibration(tmp_path: Path) -> None:
    config = load_rig_config(rig_file(tmp_path, "{type: images, path: b}"))
    rig = stand_in_rig(config)
    assert [(camera.id, camera.width, camera.height) for camera in rig] == [("a", 64, 48), ("b", 32, 24)]
    shapes = []
    with CaptureSession(config, rig, mode="lossless") as session:
        while not session.finished:
            if (frame_set := session.next(0.5)) is not None:
                with frame_set:
                    shapes.append([frame.image_bgr.shape for frame in frame_set.frames if frame is not None])
    assert shapes == [[(48, 64, 3), (24, 32, 3)]] * 3


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("{type: synthetic}", "rendered"),
        ("{type: opencv, device: 0}", "record the board first"),
        ("{type: file, path: gone.mp4}", "does not exist"),
    ],
)
def test_a_source_that_films_no_board_is_named(tmp_path: Path, source: str, named: str) -> None:
    config = load_rig_config(rig_file(tmp_path, source))
    with pytest.raises(CaptureError, match=named) as caught:
        stand_in_rig(config)
    assert "'b'" in str(caught.value)
