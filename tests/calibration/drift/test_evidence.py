"""What hands say of extrinsics, on projections without noise: laws, not numbers."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.drift.evidence import DELAY, PARAMETERS, Evidence, gather, gather_view, velocities_px
from calibration.drift.judging import delays_s
from calibration.drift.sighting import Sighting
from engine.synthetic.rigs import make_rig
from engine.synthetic.seen_joints import SeeingErrors, seen_joints
from tests.calibration.drift.support import turned

EXACT = SeeingErrors(joint=0.0, hand=0.0, habit=0.0, missed=0.0, astray=0.0)


def _exact(rig, seconds=4.0, **options):
    frames = seen_joints(rig, seconds, 3, hands=1, rate_hz=20.0, errors=EXACT, **options)
    return [sighting for frame in frames for sighting in frame.sightings]


@pytest.mark.parametrize("views", [2, 3, 5])
def test_hands_that_fit_ask_for_nothing(views):
    rig = make_rig(views, 1)
    total = Evidence.total(filter(None, (gather(rig, sighting) for sighting in _exact(rig, 1.0))))
    assert total.cost < 1e-9
    assert np.abs(total.gradient).max() < 1e-6 * np.sqrt(total.normal.max())
    assert total.rows == pytest.approx(2 * total.joints.sum() - 3 * total.joints.max(), rel=0.2)


@pytest.mark.parametrize("camera_id", ["cam0", "cam2"])
def test_a_small_turn_and_move_of_one_camera_is_found_exactly(camera_id):
    rig = make_rig(4, 5)
    view = rig.camera_ids.index(camera_id)
    turn, move = np.radians([0.05, -0.08, 0.06]), np.array([2e-4, -1e-4, 3e-4])
    real = turned(rig, camera_id, turn)
    T = real.camera(camera_id).T_camera_world.copy()
    T[:3, 3] += move
    real = type(rig)(tuple(c.with_transform(T) if c.id == camera_id else c for c in real), rig.name)
    total = Evidence.total(filter(None, (gather(rig, sighting) for sighting in _exact(real))))
    own = slice(view * PARAMETERS, view * PARAMETERS + 6)
    found = np.linalg.solve(total.normal[own, own], total.gradient[own])
    assert found[:3] == pytest.approx(turn, abs=np.radians(2e-3))
    assert found[3:] == pytest.approx(move, abs=2e-5)
    # Once that is corrected nothing is left to say.
    correction = np.zeros(len(total.gradient))
    correction[own] = found
    assert total.corrected(correction).cost < 1e-2 * total.cost


def test_a_views_own_evidence_is_its_part_of_the_whole():
    rig = make_rig(3, 2)
    sighting = _exact(turned(rig, "cam1", np.radians([0.3, 0.2, -0.4])), 0.2)[0]
    whole, own = gather(rig, sighting), gather_view(rig, sighting, 1)
    assert whole is not None
    assert own is not None
    place = slice(PARAMETERS, PARAMETERS + 6)
    normal = np.einsum("jap,jab,jbq->pq", own.by_place, own.information, own.by_place)
    assert normal == pytest.approx(whole.normal[place, place], rel=1e-6, abs=1e-6 * np.abs(normal).max())
    pull = np.einsum("jap,ja->p", own.by_place, own.pull)
    assert pull == pytest.approx(whole.gradient[place], rel=1e-6, abs=1e-6 * np.abs(pull).max())


def test_a_camera_whose_pictures_are_old_is_found_by_the_hands_way():
    rig = make_rig(4, 1)
    track = _exact(rig, 8.0, older_s={"cam2": 0.02})
    parts = [
        gather(rig, middle, velocities_px(before, after))
        for before, middle, after in zip(track, track[1:], track[2:], strict=False)
    ]
    delays = delays_s(Evidence.total(filter(None, parts)))
    # Exposed earlier than it says; the others are off by a quarter of that against the mean of all.
    assert delays[2] == pytest.approx(-0.015, abs=0.003)
    assert np.delete(delays, 2) == pytest.approx(0.005, abs=0.003)


def test_stamps_that_tell_the_truth_are_no_delay():
    rig = make_rig(3, 1)
    old = _exact(rig, 2.0, older_s={"cam1": 0.03})
    told = [Sighting(s.hand_id, s.keypoints_px, s.stamps_ns - np.array([0, 30_000_000, 0])) for s in old]
    costs = [
        sum(
            e.cost for e in (gather(rig, b, velocities_px(a, c)) for a, b, c in zip(t, t[1:], t[2:], strict=False)) if e
        )
        for t in (old, told)
    ]
    assert costs[1] < 0.4 * costs[0], "hands bend, which their motion as a whole does not say"


def test_one_view_says_nothing():
    rig = make_rig(3, 1)
    sighting = _exact(rig, 0.1)[0]
    alone = sighting.keypoints_px.copy()
    alone[1:] = np.nan
    assert gather(rig, Sighting(1, alone, sighting.stamps_ns)) is None
    assert gather_view(rig, Sighting(1, alone, sighting.stamps_ns), 0) is None
    assert gather(rig, sighting).normal[DELAY, DELAY] == 0.0, "a hand at rest says nothing of delays"
