from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration import Camera, Rig
from calibration.files import calibration_to_dict


@pytest.fixture
def rig() -> Rig:
    T = np.eye(4)
    T[:3, :3] = [[0.8, 0.0, 0.6], [0.0, 1.0, 0.0], [-0.6, 0.0, 0.8]]
    T[:3, 3] = [0.1, -0.2, 1 / 3]
    return Rig(
        (
            Camera(
                "left", 720, 720, [[926.1, 0, 356.1], [0, 925.8, 355.2], [0, 0, 1]], [0.1, -0.2, 1e-3, 2e-3, 0.05], T
            ),
            Camera(
                "right",
                1280,
                720,
                [[600, 0, 640], [0, 600, 360], [0, 0, 1]],
                [0.01, 0.02, 0, 0],
                model="fisheye",
                rms_px=0.3,
            ),
        ),
        name="desk",
    )


@pytest.fixture
def content(rig: Rig) -> dict[str, Any]:
    """What a sound `calibration.json` holds."""
    return calibration_to_dict(rig)


@pytest.fixture
def caliscope_text() -> str:
    return """
[cameras.0]
cam_id = 0
rotation_count = 0
error = 0.5
ignore = false
size = [640, 480]
matrix = [[500.0, 0.0, 320.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]]
distortions = [-0.3, 0.05, 0.0, 0.0, 0.0]
translation = [0.1, 0.2, 0.7]
rotation = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]

[cameras.1]
cam_id = 1
size = [640, 480]
matrix = [[510, 0, 320], [0, 510, 240], [0, 0, 1]]
distortions = [0.1, 0, 0, 0]
fisheye = true
translation = [0, 0, 1]
rotation = [0.0, 0.0, 1.5707963267948966]

[cameras.2]
cam_id = 2
ignore = true
"""


@pytest.fixture
def handpose3d_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "handpose3d"
    folder.mkdir()
    for n in (0, 1):
        (folder / f"c{n}.dat").write_text(
            f"intrinsic:\n{900 + n} 0.0 356.5 \n0.0 901.0 355.5 \n0.0 0.0 1.0 \n"
            "distortion:\n-0.01 0.2 -0.003 -0.004 0.1\n"
        )
        (folder / f"rot_trans_c{n}.dat").write_text(
            f"R:\n1.0 0.0 0.0 \n0.0 0.0 -1.0 \n0.0 1.0 0.0 \nT:\n{n}.0 \n2.0\n 10.0\n"
        )
    with (folder / "rot_trans_c1.dat").open("a") as file:
        file.write("\n#below is from cam0 to cam1.\nR:\n9 9 9\n9 9 9\n9 9 9\nT:\n9\n9\n9\n")
    return folder
