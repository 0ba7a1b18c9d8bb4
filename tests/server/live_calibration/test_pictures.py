"""The panel's picture shows the corners where the board is in that very picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from calibration.boards import Refusal
from server.calibrating.footage import Sight
from server.live_calibration.pictures import WIDTH_PX, small
from server.live_calibration.sightings import Look, Sightings

SIZE = (1280, 720)
CORNERS_PX = np.array([[100.0, 80.0], [1200.0, 80.0], [640.0, 600.0]])


def look(found: Sight | Refusal, shade: int) -> Look:
    return Look("a", SIZE, found, picture_bgr=small(np.full((SIZE[1], SIZE[0], 3), shade, dtype=np.uint8)))


def shown(sightings: Sightings) -> np.ndarray:
    looked_at = sightings.looked_at("a")
    assert looked_at is not None
    return cv2.imdecode(np.frombuffer(looked_at.jpeg(), dtype=np.uint8), cv2.IMREAD_COLOR).astype(np.float64)


def test_corners_are_drawn_on_the_picture_that_they_were_found_in() -> None:
    sightings = Sightings(("a",))
    assert sightings.looked_at("a") is None
    sightings.add(0, 0, [look(Sight("a", 0, 0, np.arange(3), CORNERS_PX, 2.0), shade=60)])
    picture = shown(sightings)
    assert picture.shape == (270, WIDTH_PX, 3)
    assert picture[135, 240] == pytest.approx(np.full(3, 60), abs=6)
    for x, y in (CORNERS_PX + 0.5) * WIDTH_PX / SIZE[0] - 0.5:
        assert picture[round(y), round(x)] == pytest.approx([40, 110, 255], abs=40)
    # What was seen before is not drawn on a picture without the board.
    sightings.add(1, 1, [look(Refusal("no-board", "no board is to be seen"), shade=90)])
    np.testing.assert_allclose(shown(sightings), 90, atol=4)


def test_an_unknown_camera_is_none() -> None:
    with pytest.raises(KeyError):
        Sightings(("a",)).looked_at("b")
