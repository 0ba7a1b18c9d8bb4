"""The `mano` dialect: the canonical form itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from engine.hand_model.model import JOINT_NAMES, PARENTS_21
from engine.types import HandPose
from server.dialects.base import DialectHand, Skeleton
from server.dialects.xr_joints import canonical_radii_m, seen_joints


@dataclass(frozen=True)
class ManoDialect:
    """21 joints in world coordinates, as the engine gives them."""

    name = "mano"

    def skeleton(self, rig: Rig) -> Skeleton:  # noqa: ARG002 - the same for every calibration
        """Describe the canonical joints."""
        return Skeleton(
            dialect=self.name,
            units="metres; radians; covariance in square millimetres",
            axes="right-handed; the calibration's world frame",
            joint_names=tuple(JOINT_NAMES),
            parents=tuple(PARENTS_21),
        )

    def hand(self, hand: HandPose, rig: Rig) -> DialectHand:  # noqa: ARG002 - nothing to convert
        """Pass the hand on as it is."""
        return DialectHand(
            joints=hand.joints_world,
            orientations_xyzw=hand.orientations_xyzw,
            covariance_mm2=hand.covariance_mm2,
            radii=canonical_radii_m(hand),
            tracked=seen_joints(hand),
        )

    def points(
        self,
        points_world: NDArray[np.float64],
        hand: HandPose,  # noqa: ARG002 - nothing to convert
        rig: Rig,  # noqa: ARG002
    ) -> NDArray[np.float64]:
        """Pass the points on as they are."""
        return points_world
