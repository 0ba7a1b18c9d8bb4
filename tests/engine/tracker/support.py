"""A network that knows the truth, eyes that see it too, and an engine that is shown frame set after frame set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from capture.frames import Frame, FrameSet
from engine.backends.base import NetworkInputs, NetworkOutputs
from engine.crops import CropCamera, sample_crop
from engine.hand_model import HandModel, Side
from engine.hand_model.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from engine.model_card import ModelCard
from engine.pose_fit import PoseFitter
from engine.synthetic import HandTruth, make_rig
from engine.tracker.config import TrackerConfig
from engine.tracker.engine import NetworkEngine
from engine.types import HandPose
from tests.engine.detector.scripted import ScriptedEyes, Shown
from tests.engine.detector.support import START_NS, model

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

RIG = make_rig(4, seed=8, width=480, height=360)
PERIOD_NS = 33_333_333
MIRROR = np.array([-1.0, 1.0, 1.0])

CARD = ModelCard(
    model_id="oracle-00000000",
    network="oracle",
    backbone="none",
    input_px=128,
    hypotheses=6,
    blocks=2,
    past=3,
    channels=4,
    lookahead=0,
    hand_model=HandModel.load().name,
    hand_model_sha256=HandModel.load().sha256,
    training={},
    metrics={},
    commit="",
    created="2026-01-01",
    config={},
)


@cache
def side_model(side: Side) -> HandModel:
    return model() if side == "right" else model().mirrored()


def truth_at(
    side: Side, x: float = 0.0, y: float = 0.0, z: float = 0.0, shape: Array | None = None, curl: float = 0.3
) -> HandTruth:
    """A hand with its fingers up, curled a bit, its palm to the cameras and its middle somewhere."""
    rotations = np.tile(np.eye(3), (16, 1, 1))
    rotations[1:] = matrix_from_axis_angle(np.array([0.0, 0.0, curl]))
    rotations[0] = [[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]]
    if side == "left":
        rotations = rotations * np.outer(MIRROR, MIRROR)
    shaped = side_model(side).with_shape(np.zeros(10) if shape is None else shape)
    translation = np.array([x, y, z]) - shaped.posed_from_rotations(rotations, np.zeros(3)).joints.mean(axis=0)
    posed = shaped.posed_from_rotations(rotations, translation)
    pose = axis_angle_from_matrix(rotations).ravel()
    return HandTruth(side, posed.joints, pose, shaped.shape, translation, posed)


@dataclass(frozen=True)
class Row:
    """What the network was shown in one row of its batch.

    Args:
        hand: The true hand in the crops; None where there is none.
        mirrored: Whether it was shown in the mirror.
        mask: The views `(V,)`.
        state: The memory's newest to oldest marks, NaN where it is not valid.
    """

    hand: HandTruth | None
    mirrored: bool
    mask: Array
    state: tuple[float, ...]


class Oracle:
    """A network that answers the truth, and checks what it is shown.

    It knows where the hands are in the world, and from the projections where the crops look and where the local frame
    lies. The memory that it hands on is the number of the step.

    Args:
        rig: The cameras.
        card: Its card.
    """

    def __init__(self, rig: Rig = RIG, card: ModelCard = CARD) -> None:
        self.rig = rig
        self.hands: Sequence[HandTruth] = ()
        self.pictures: Mapping[int, Image] = {}
        # How it goes wrong: what it raises, views that see nothing, keypoints that are off by so many crop pixels,
        # views that take one side's hand for the other's, and what is put in place of its answers.
        self.failure: Exception | None = None
        self.blind_views: set[int] = set()
        self.off_px: dict[int, Array] = {}
        self.drawn_to: dict[tuple[int, Side], HandTruth] = {}
        self.instead: dict[str, Array] = {}
        self.shape_noise = 0.0
        self.query_offset_m = np.zeros(3)
        self.rows: list[list[Row]] = []
        self.inputs: list[NetworkInputs] = []
        self.closed = False
        self._card = card
        self._rng = np.random.default_rng(4)

    @property
    def card(self) -> ModelCard:
        return self._card

    @property
    def backend(self) -> str:
        return "oracle 1.0"

    def close(self) -> None:
        self.closed = True

    def run(self, inputs: NetworkInputs) -> NetworkOutputs:
        self._check_form(inputs)
        if self.failure is not None:
            raise self.failure
        self.inputs.append(NetworkInputs(**{f.name: getattr(inputs, f.name).copy() for f in fields(inputs)}))
        self.rows.append([])
        answers = [self._answer(inputs, row) for row in range(len(inputs.crops))]
        outputs = {name: np.stack([answer[name] for answer in answers]).astype(np.float32) for name in answers[0]}
        return NetworkOutputs(**outputs)

    def _check_form(self, inputs: NetworkInputs) -> None:
        card, (hands, views) = self._card, inputs.view_mask.shape
        size = card.input_px
        assert hands >= 1
        assert views == len(self.rig)
        expected = {
            "crops": ((hands, views, size, size, 3), np.uint8),
            "projections": ((hands, views, 3, 4), np.float32),
            "view_mask": ((hands, views), np.float32),
            "noise": ((hands, views, card.hypotheses, 21, 2), np.float32),
            "state": ((hands, card.blocks, 2, card.past, 21, card.channels), np.float32),
            "state_valid": ((hands, card.past), np.float32),
        }
        for name, (shape, kind) in expected.items():
            array: NDArray[np.generic] = getattr(inputs, name)
            assert array.shape == shape, name
            assert array.dtype == kind, name
            assert array.flags.c_contiguous, name
            assert np.isfinite(array).all(), name
        assert np.isin(inputs.view_mask, (0, 1)).all()
        assert np.isin(inputs.state_valid, (0, 1)).all()
        assert (inputs.view_mask.sum(axis=1) >= 2).all(), "a hand that fewer than two views see is not worth a run"
        assert not inputs.crops[inputs.view_mask == 0].any(), "equal frames are to make equal inputs"
        if self.inputs:
            shared = min(views, self.inputs[0].noise.shape[1])
            np.testing.assert_array_equal(inputs.noise[0, :shared], self.inputs[0].noise[0, :shared])

    def _answer(self, inputs: NetworkInputs, row: int) -> dict[str, Array]:
        mask = inputs.view_mask[row].astype(np.float64)
        projections = inputs.projections[row].astype(np.float64)
        looking = np.flatnonzero(mask)
        mirrored, origin = self._local_frame(projections, looking)
        for view in looking:
            self._check_crop(inputs.crops[row, view], projections[view], int(view), mirrored)
        sign = MIRROR if mirrored else np.ones(3)

        def to_local(points: Array) -> Array:
            return (points - origin) * sign

        def seen(hand: HandTruth) -> float:
            return float(np.abs(_project(projections[looking], to_local(hand.joints_world))).mean())

        hand = min(self.hands, key=seen, default=None)
        if hand is not None and seen(hand) > 0.6:
            hand = None
        newest_first = zip(inputs.state[row, 0, 0, ::-1, 0, 0], inputs.state_valid[row, ::-1], strict=True)
        marks = tuple(float(mark) if valid else np.nan for mark, valid in newest_first)
        self.rows[-1].append(Row(hand, mirrored, mask, marks))
        # What is not there is a hand all the same: a network always answers.
        pose = _network_pose(hand, mirrored) if hand is not None else _network_pose(truth_at("right"), False)
        joints = pose.joints + (to_local(np.zeros(3)) if hand is not None else 0.0)
        keypoints = _project(projections, joints)
        confidence = np.tile(mask[:, None] * (0.02 if hand is None else 0.8), (1, 21))
        for view in self.blind_views:
            confidence[view] *= 0.02
        for (view, side), other in self.drawn_to.items():
            if hand is not None and hand.side == side:
                keypoints[view] = _project(projections[view][None], to_local(other.joints_world))[0]
        for view, off_px in self.off_px.items():
            keypoints[view] += off_px * 2 / self._card.input_px
        away = np.linalg.norm(keypoints - _project(projections, joints), axis=2) * self._card.input_px / 2
        state = np.full_like(inputs.state[row], len(self.rows))
        state[:, :, :-1] = inputs.state[row][:, :, 1:]
        covariance = np.tile(WORLD_COVARIANCE_MM2, (21, 1, 1))
        answer: dict[str, Array] = {
            "joints": joints + self.query_offset_m * sign,
            "mano_joints": joints,
            "rotations": pose.rotations,
            "shape": pose.shape + self._rng.normal(0.0, 1.0, 10) * self.shape_noise,
            "translation": pose.translation + (to_local(np.zeros(3)) if hand is not None else 0.0),
            "covariance_mm2": covariance * np.outer(sign, sign),
            "keypoints": keypoints,
            "view_confidence": confidence,
            "reprojection_px": away * mask[:, None],
            "valid": np.array(float(mask.sum() >= 2)),
            "state": state,
            "state_valid": np.append(inputs.state_valid[row], 1.0)[1:],
        }
        return answer | self.instead

    def _local_frame(self, projections: Array, looking: NDArray[np.intp]) -> tuple[bool, Array]:
        """Whether the row is mirrored, and its origin in the world: all cameras must agree on it."""
        best: tuple[float, bool, Array] | None = None
        for mirrored in (False, True):
            sign = MIRROR if mirrored else np.ones(3)
            origins = np.stack(
                [
                    self.rig.cameras[view].center_world
                    + sign * np.linalg.solve(projections[view, :, :3], projections[view, :, 3])
                    for view in looking
                ]
            )
            spread = float(np.ptp(origins, axis=0).max())
            if best is None or spread < best[0]:
                best = (spread, mirrored, origins.mean(axis=0))
        assert best is not None
        assert best[0] < 1e-4, "the views' local frames differ"
        return best[1], best[2]

    def _check_crop(self, crop: Image, projection: Array, view: int, mirrored: bool) -> None:
        """The crop is what its projection says: that camera's picture, RGB, flipped when mirrored."""
        camera = self.rig.cameras[view]
        matrix = projection * np.append(MIRROR, 1.0) * MIRROR[:, None] if mirrored else projection
        unit = float(np.linalg.norm(matrix[0, :3]))
        R_crop_world = matrix[:, :3] / [[unit], [unit], [1.0]]
        np.testing.assert_allclose(R_crop_world @ R_crop_world.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(R_crop_world) > 0
        aimed = CropCamera(
            unit * self._card.input_px / 2, self._card.input_px, R_crop_world @ camera.T_camera_world[:3, :3].T
        )
        expected = sample_crop(self.pictures[view], camera, aimed)[..., ::-1]
        if mirrored:
            expected = expected[:, ::-1]
        assert np.abs(crop.astype(np.int16) - expected).mean() < 1.0


WORLD_COVARIANCE_MM2 = np.array([[9.0, 2.0, -1.0], [2.0, 16.0, 3.0], [-1.0, 3.0, 25.0]])


@cache
def _fitter() -> PoseFitter:
    return PoseFitter(model())


@dataclass(frozen=True)
class _Pose:
    joints: Array
    rotations: Array
    shape: Array
    translation: Array


def _network_pose(hand: HandTruth, mirrored: bool) -> _Pose:
    """A hand as a right-hand network answers it, in its frame but about the world's origin."""
    matrix = np.outer(MIRROR, MIRROR) if mirrored else np.ones((3, 3))
    sign = MIRROR if mirrored else np.ones(3)
    shaped, joints = model().with_shape(hand.shape), hand.joints_world * sign
    if mirrored != (hand.side == "left"):
        # What is shown as the wrong side: a right hand that lies where the left one is, as far as it can.
        fitted = _fitter().fit(shaped, joints, np.tile(1e6 * np.eye(3), (21, 1, 1)))
        return _Pose(fitted.posed.joints, fitted.local_rotations, hand.shape, fitted.translation)
    rotations = matrix_from_axis_angle(hand.pose.reshape(16, 3)) * matrix
    translation = hand.translation * sign
    posed = shaped.posed_from_rotations(rotations, translation)
    np.testing.assert_allclose(posed.joints, joints, atol=1e-9)
    return _Pose(joints, rotations, hand.shape, translation)


def _project(projections: Array, points: Array) -> Array:
    """Crop coordinates `(V, N, 2)`."""
    moved = np.einsum("vik,nk->vni", projections[:, :, :3], points) + projections[:, None, :, 3]
    flat: Array = moved[..., :2] / moved[..., 2:]
    return flat


@cache
def pattern(view: int, width: int = 480, height: int = 360) -> Image:
    """A smooth picture that is different everywhere, in every channel and view."""
    coarse = np.random.default_rng((77, view)).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


class Show:
    """An engine with an oracle for a network and eyes that see the truth, one frame set after the other.

    Args:
        config: The engine's settings.
        card: The network's card.
        rig: The cameras.
    """

    def __init__(self, config: TrackerConfig | None = None, card: ModelCard = CARD, rig: Rig = RIG) -> None:
        self.rig = rig
        self.oracle = Oracle(rig, card)
        self.eyes = ScriptedEyes(rig)
        # One thread: the eyes' noise is drawn in the order of their looks.
        self.engine = NetworkEngine(self.oracle, model(), config, threads=1, eyes=self.eyes)
        self.number = 0
        self.now_ns = START_NS

    def hands(
        self,
        *hands: HandTruth,
        missing: Sequence[int] = (),
        said_right: float | None = None,
        unseen_by_eyes: bool = False,
        wait_ns: int = PERIOD_NS,
        late_ns: Sequence[int] = (0, 0, 0, 0),
    ) -> tuple[HandPose, ...]:
        """Process a frame set with these hands in it.

        Args:
            hands: The truth.
            missing: Views without a frame.
            said_right: What the eyes say of all hands' side; None is the truth.
            unseen_by_eyes: Whether the eyes see none of them.
            wait_ns: Time to the next frame set.
            late_ns: How much later than the others each view is exposed.
        """
        self.oracle.hands = hands
        self.eyes.shown = [] if unseen_by_eyes else [Shown(h.side, h.joints_world, said_right) for h in hands]
        return self.frames([None if v in missing else pattern(v) for v in range(len(self.rig))], wait_ns, late_ns)

    def frames(
        self, pictures: Sequence[Image | None], wait_ns: int = PERIOD_NS, late_ns: Sequence[int] = (0, 0, 0, 0)
    ) -> tuple[HandPose, ...]:
        """Process a frame set of these pictures."""
        self.oracle.pictures = {view: picture for view, picture in enumerate(pictures) if picture is not None}
        late = [*late_ns, *(0 for _ in self.rig)]
        frames = tuple(
            None if picture is None else Frame(camera.id, self.number, self.now_ns + late[view], self.now_ns, picture)
            for view, (camera, picture) in enumerate(zip(self.rig, pictures, strict=True))
        )
        poses = self.engine.process(FrameSet(self.number, frames, 0.0), self.rig)
        self.number += 1
        self.now_ns += wait_ns
        return poses

    def move_to(self, rig: Rig) -> None:
        """Use another calibration from now on."""
        self.rig = self.oracle.rig = self.eyes.rig = rig

    @property
    def last_rows(self) -> list[Row]:
        """What the network was shown last."""
        return self.oracle.rows[-1]


def card(**changes: object) -> ModelCard:
    return replace(CARD, **changes)  # type: ignore[arg-type]


def assert_is(pose: HandPose, truth: HandTruth, within_m: float = 1e-4) -> None:
    """The pose is the truth."""
    assert pose.side == truth.side
    np.testing.assert_allclose(pose.joints_world, truth.joints_world, atol=within_m)
    np.testing.assert_allclose(pose.posed.joints, truth.joints_world, atol=within_m)
    np.testing.assert_allclose(pose.vertices_world, truth.vertices_world, atol=2 * within_m)
    expected = truth.posed.rotations
    np.testing.assert_allclose(pose.posed.rotations, expected, atol=20 * within_m)
    np.testing.assert_allclose(pose.shape, truth.shape, atol=20 * within_m)
    again = pose.posed.shaped.model.with_shape(pose.shape).posed(pose.pose, pose.translation)
    np.testing.assert_allclose(again.joints, pose.posed.joints, atol=1e-6)
