"""What rendered cameras film."""

from __future__ import annotations

import pytest

from capture.rig_config import CameraConfig, FileSource, RigConfig, Source, SyntheticSource
from server.commands.sources import SCENE_RATE_HZ, scene_of


@pytest.mark.parametrize(
    ("sources", "rounds"),
    [
        ([SyntheticSource(frames=90, loop=True)] * 2, 90),
        ([FileSource(path="a.mp4"), SyntheticSource(frames=90, loop=True)], 90),
        ([SyntheticSource(frames=90)], None),
    ],
)
def test_hands_begin_again_where_their_cameras_do(sources: list[Source], rounds: int | None) -> None:
    cameras = tuple(CameraConfig(id=f"cam{number}", source=source) for number, source in enumerate(sources))
    scene = scene_of(RigConfig(cameras=cameras), 1)
    assert scene is not None
    assert scene.period_s == (None if rounds is None else rounds / SCENE_RATE_HZ)


def test_a_rig_without_rendered_cameras_has_no_scene() -> None:
    assert scene_of(RigConfig(cameras=(CameraConfig(id="a", source=FileSource(path="a.mp4")),)), 2) is None
