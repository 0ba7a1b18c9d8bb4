"""What only real hands before real cameras show."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from calibration import Rig
from capture import CaptureSession
from capture.rig_config import load_rig, load_rig_config
from engine.factory import open_engine
from engine.types import HandPose

pytestmark = pytest.mark.footage

_RIGS = Path(__file__).resolve().parents[1] / "rigs"


def _follow(name: str, limit: int) -> tuple[Rig, list[tuple[HandPose, ...]]]:
    """Hands of a recording's first frame sets."""
    config = load_rig_config(_RIGS / f"{name}.yaml")
    rig = load_rig(config)
    engine = open_engine()
    poses = []
    with CaptureSession(config, rig, mode="lossless") as session:
        while len(poses) < limit:
            frame_set = session.next(20.0)
            assert frame_set is not None
            with frame_set:
                poses.append(engine.process(frame_set, rig))
    engine.close()
    return rig, poses


def _palm_mm(hand: HandPose) -> float:
    return 1e3 * float(np.linalg.norm(hand.joints_world[9] - hand.joints_world[0]))


def _check_hand(rig: Rig, hand: HandPose) -> None:
    assert np.isfinite(hand.joints_world).all()
    used = np.isfinite(hand.reprojection_px)
    assert used.sum() >= 2
    # One view's frame may be some 20 ms off.
    assert hand.reprojection_px[used].min() < 15
    assert all(camera.to_camera(hand.joints_world)[:, 2].min() > 0 for camera in rig)


def test_the_hand_over_the_desk_is_followed(footage_dir: Path) -> None:
    rig, poses = _follow("desk2", 60)
    counts = np.array([len(hands) for hands in poses])
    # One camera sees the hand from the tenth set on; the other hand never comes into both pictures.
    assert counts[:10].max() == 0
    assert (counts[15:] == 1).all()
    hands = [hand for hands in poses for hand in hands]
    for hand in hands:
        _check_hand(rig, hand)
    lengths = [_palm_mm(hand) for hand in hands]
    assert 80 < np.median(lengths) < 110
    assert np.mean([75 < length < 110 for length in lengths]) > 0.95
    assert len({hand.side for hand in hands}) == 1
    assert len({hand.id for hand in hands}) == 1
    middles = np.stack([hands[0].joints_world.mean(axis=0) for hands in poses if hands])
    assert np.linalg.norm(np.diff(middles, axis=0), axis=1).max() < 0.08


def test_the_two_hands_in_the_room_keep_their_sides(footage_dir: Path) -> None:
    rig, poses = _follow("room4", 30)
    counts = np.array([len(hands) for hands in poses])
    assert (counts >= 1).mean() > 0.9
    assert (counts == 2).mean() > 0.7
    sides: dict[int, set[str]] = {}
    for hands in poses:
        assert len({hand.side for hand in hands}) == len(hands), "two hands of one side"
        for hand in hands:
            _check_hand(rig, hand)
            sides.setdefault(hand.id, set()).add(hand.side)
    assert all(len(seen) == 1 for seen in sides.values())
    assert {side for seen in sides.values() for side in seen} == {"left", "right"}
    lengths = np.array([_palm_mm(hand) for hands in poses for hand in hands])
    assert 80 < np.median(lengths) < 110
    assert np.mean((lengths > 75) & (lengths < 115)) > 0.9
    # A swap of two hands would show as a jump: at 6 frames a second a hand goes less than half a metre.
    for number, (before, after) in enumerate(pairwise(poses)):
        for hand in after:
            for last in before:
                if last.id == hand.id:
                    jump = np.linalg.norm(hand.joints_world.mean(axis=0) - last.joints_world.mean(axis=0))
                    assert jump < 0.5, number
    per_side = Counter(hand.side for hands in poses for hand in hands)
    assert min(per_side.values()) > 0.6 * len(poses)
