"""What only reality shows: the four cameras of room4, from their videos alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration import Rig
from calibration.boards import parse_board
from calibration.overview import baselines_m
from calibration.solving.solve import Wishes
from capture.rig_config import load_rig, load_rig_config
from server.calibrating.calibrate import calibrate
from server.calibrating.footage import read_footage

RIGS = Path(__file__).resolve().parents[2] / "rigs"


@pytest.mark.slow
@pytest.mark.footage
def test_room4_is_calibrated_from_its_videos(footage_dir: Path) -> None:
    config = load_rig_config(RIGS / "room4.yaml")
    board = parse_board("charuco:4x5:0.054:DICT_4X4_1000:inverted")
    footage = read_footage(config, board)
    findings = calibrate(board, footage, Wishes())
    held_out = findings.solved.held_out
    assert len(held_out.views) >= 25
    assert held_out.rms_px < 0.8
    assert abs(held_out.median_neighbour_mm) < 0.3
    # This camera's stamps are wrong by most of a frame: without that nothing fits.
    assert findings.solved.timing.late_s["cam_1"] == pytest.approx(-0.118, abs=0.02)
    # The board stays in a fifth of each picture, at one distance: focal lengths are known to a percent or two.
    published = load_rig(config)
    pairs = np.triu_indices(4, 1)
    ratio = baselines_m(Rig(findings.rig.cameras))[pairs] / baselines_m(published)[pairs]
    assert np.abs(ratio - 1).max() < 0.025
