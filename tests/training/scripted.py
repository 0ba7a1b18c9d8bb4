"""A rendered recording of a few frame sets, and engines that know where its hands are, more or less."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from capture.frames import Frame, FrameSet
from engine.hand_model.model import HandModel, Side
from engine.synthetic import HandScene
from engine.types import EngineCard, HandPose


@dataclass(frozen=True)
class Recording:
    """Rendered frame sets, in order."""

    rig: Rig
    scene: HandScene
    sets: tuple[FrameSet, ...]

    @classmethod
    def of(cls, rig: Rig, scene: HandScene, count: int) -> Recording:
        """Render it."""
        sets = []
        for number in range(count):
            at_ns = number * 33_000_000
            frames = tuple(Frame(camera.id, number, at_ns, at_ns, scene.render(camera, number)) for camera in rig)
            sets.append(FrameSet(number, frames, 0.0))
        return cls(rig, scene, tuple(sets))

    def subset(self, views: int) -> Recording:
        """What its first cameras saw."""
        rig = self.rig.subset(self.rig.camera_ids[:views])
        return Recording(rig, self.scene, tuple(FrameSet(s.id, s.frames[:views], 0.0) for s in self.sets))

    def frame_sets(self) -> Iterator[FrameSet]:
        """Begin it anew."""
        return iter(self.sets)


@dataclass
class ScriptedEngine:
    """Answers with the scene's truth, moved.

    Args:
        scene: Whose truth.
        off_m: How far the hands are moved along x, metres.
        blind: Frame sets in which it sees nothing.
        ids: Of the hand by frame set, where it is not its own number.
    """

    scene: HandScene
    off_m: float = 0.0
    blind: frozenset[int] = frozenset()
    ids: Mapping[int, int] = field(default_factory=dict)
    seen: list[int] = field(default_factory=list)
    closed: bool = False
    card = EngineCard("scripted-1", "detector", "none", "open-hand", "Knows the truth.")
    stages_s: Mapping[str, float] = field(default_factory=dict)

    def hand_model(self, side: Side) -> HandModel:
        """The embedded one."""
        return HandModel.load(side=side)

    def process(self, frame_set: FrameSet, rig: Rig) -> tuple[HandPose, ...]:
        """Say where the hands are."""
        assert not self.closed
        self.seen.append(frame_set.id)
        if frame_set.id in self.blind:
            return ()
        return tuple(
            self._hand(number, frame_set.id, len(rig)) for number in range(len(self.scene.truth(frame_set.id)))
        )

    def _hand(self, number: int, index: int, views: int) -> HandPose:
        truth = self.scene.truth(index)[number]
        off = np.array([self.off_m, 0.0, 0.0])
        translation = truth.translation + off
        posed = truth.posed.shaped.posed(truth.pose, translation)
        joints: NDArray[np.float64] = truth.joints_world + off
        return HandPose(
            id=self.ids.get(index, number + 1),
            side=truth.side,
            confidence=1.0,
            joints_world=joints,
            covariance_mm2=np.tile(np.eye(3), (21, 1, 1)),
            pose=truth.pose,
            shape=truth.shape,
            translation=translation,
            orientations_xyzw=np.tile([0.0, 0.0, 0.0, 1.0], (21, 1)),
            posed=posed,
            view_confidence=np.ones((views, 21)),
            view_weight=np.ones(views),
            reprojection_px=np.ones(views),
            keypoints_px=np.full((views, 21, 2), np.nan),
        )

    def reset(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Note it."""
        self.closed = True
