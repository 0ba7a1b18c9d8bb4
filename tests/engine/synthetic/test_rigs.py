"""Made-up rigs are ones that could stand on a desk."""

from __future__ import annotations

import numpy as np
import pytest

from engine.synthetic.rigs import RigKind, make_rig


@pytest.mark.parametrize("kind", ["dome", "ring"])
@pytest.mark.parametrize("views", range(1, 9))
def test_every_camera_sees_the_working_volume(views: int, kind: RigKind) -> None:
    rig = make_rig(views, seed=2, kind=kind)
    assert rig.camera_ids == tuple(f"cam{i}" for i in range(views))
    corners = np.array([(x, y, z) for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.08, 0.08)])
    for camera in rig:
        assert 0.5 <= np.linalg.norm(camera.center_world) <= 0.75
        assert camera.contains(camera.project(corners)).all()
        # The image is upright: up in the world is up in the image.
        low, high = camera.project([(0.0, 0.0, 0.0), (0.0, 0.0, 0.05)])
        assert high[1] < low[1] - 20.0
        assert camera.distortion.any()
        grid = np.stack(np.meshgrid([0, camera.width - 1], [0, camera.height - 1]), axis=-1)
        assert np.isfinite(camera.unproject(grid)).all()


def test_equal_seeds_give_equal_rigs() -> None:
    assert make_rig(4, seed=7).id == make_rig(4, seed=7).id
    assert make_rig(4, seed=7).id != make_rig(4, seed=8).id


def test_image_size_is_as_asked_for() -> None:
    camera = make_rig(1, seed=1, width=256, height=256).cameras[0]
    assert (camera.width, camera.height) == (256, 256)


@pytest.mark.parametrize("views", [0, 9])
def test_a_number_of_views_that_no_rig_has_is_refused(views: int) -> None:
    with pytest.raises(ValueError, match="1 to 8"):
        make_rig(views, seed=1)
