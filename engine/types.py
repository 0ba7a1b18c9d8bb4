"""What the engine makes of a frame set, and the one interface behind which every engine stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from calibration import Camera, Rig
from capture.frames import FrameSet
from engine.hand_model.model import HandModel, PosedHand, Side

EngineKind = Literal["detector", "network"]


@dataclass(frozen=True, eq=False, slots=True)
class HandPose:
    """One hand at one instant, in world coordinates.

    Args:
        id: Stays the same while the hand is tracked; a hand that was lost comes back under a new id.
        side: Which hand it is.
        confidence: In [0, 1]: that there is a hand and that the pose is its own.
        joints_world: The 21 joints `(21, 3)`, canonical order, metres.
        covariance_mm2: Covariance of each joint's position `(21, 3, 3)`, square millimetres.
        pose: MANO axis-angle `(48,)`: global orientation, then 15 joints in MANO's order, `flat_hand_mean`.
        shape: MANO shape `(10,)`.
        translation: MANO translation `(3,)`, metres.
        orientations_xyzw: Global rotation of each canonical joint `(21, 4)`; a tip has its last bone's.
        posed: The hand model in this pose, for whoever needs its mesh; `joints_world` may differ from its joints,
            since they also weigh what the views measured.
        view_confidence: Confidence of each view in each joint `(V, 21)`, in [0, 1]; 0 where a view was not used.
        view_weight: Robust weight of each view `(V,)`, in [0, 1]: how far the views' consensus believed it.
        reprojection_px: Median distance over the joints between the view's own 2D joints and the projected
            `joints_world` `(V,)`, in pixels of the camera's image; NaN where a view was not used.
        keypoints_px: The view's own 2D joints `(V, 21, 2)`, distorted pixels of the camera's image; NaN where a view
            did not see the hand.
        rig: The cameras as they stood for this hand, whose pictures may be of other instants than the hand: see
            `engine.detector.instant`. None: they stood where they stand.
    """

    id: int
    side: Side
    confidence: float
    joints_world: NDArray[np.float64]
    covariance_mm2: NDArray[np.float64]
    pose: NDArray[np.float64]
    shape: NDArray[np.float64]
    translation: NDArray[np.float64]
    orientations_xyzw: NDArray[np.float64]
    posed: PosedHand
    view_confidence: NDArray[np.float64]
    view_weight: NDArray[np.float64]
    reprojection_px: NDArray[np.float64]
    keypoints_px: NDArray[np.float64]
    rig: Rig | None = None

    def as_seen_by(self, camera: Camera) -> Camera:
        """The camera from where its picture shows this hand as it is: what is projected by it lies on the picture's."""
        return camera if self.rig is None else self.rig.camera(camera.id)

    @property
    def vertices_world(self) -> NDArray[np.float64]:
        """The posed mesh `(Nv, 3)`, metres; its faces are the hand model's. Computed on each call."""
        return self.posed.vertices()


@dataclass(frozen=True, eq=False, slots=True)
class EngineCard:
    """What runs: shown at `/api/v1/engine` and named in every message.

    Args:
        model_id: A short name with a version or digest, the `model_id` of messages.
        kind: Which family of engine.
        backend: What executes it, as read back from the runtime.
        hand_model: Name of the hand model whose parameters come out.
        description: A sentence for people.
    """

    model_id: str
    kind: EngineKind
    backend: str
    hand_model: str
    description: str


class HandEngine(Protocol):
    """Makes hand poses of frame sets. One thread calls it, one frame set after the other."""

    @property
    def card(self) -> EngineCard:
        """What runs."""

    @property
    def stages_s(self) -> Mapping[str, float]:
        """How long each stage of the last frame set took, seconds, in their order."""

    def hand_model(self, side: Side) -> HandModel:
        """The hand model of that side: faces, skeleton and template of the poses that come out."""

    def process(self, frame_set: FrameSet, rig: Rig) -> tuple[HandPose, ...]:
        """Track hands into the next frame set.

        Args:
            frame_set: Frames in the order of the rig's cameras; a missing view is None.
            rig: The calibration to use. When it is another one than before, tracks start anew.

        Returns:
            The hands seen in this set, none of them stale; empty when there is none.
        """

    def reset(self) -> None:
        """Forget all tracks, as if the next frame set were the first."""

    def close(self) -> None:
        """Give back threads and sessions."""
