"""The dialects `openxr`, `webxr`, `unity` and `unreal`: OpenXR's joints, in four orders and frames.

The hand is turned so that +Y is up (see `server.dialects.up`), which is OpenXR's frame and WebXR's. Unity's is
left-handed with z forward: (x, y, -z). Unreal's is left-handed with z up and x forward, in centimetres: 100 (-z, x, y).
A joint's own axes change with the frame: towards the tip is -z in OpenXR, +z in Unity and +x in Unreal, and out of the
back of the hand +y, +y and +z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from calibration.up import Up
from engine.hand_model.rotations import quaternion_from_matrix
from engine.types import HandPose
from server.dialects.axes import AxisChange, named_axes
from server.dialects.base import DialectHand, Skeleton
from server.dialects.up import DEFAULT_UP, up_rotation
from server.dialects.xr_joints import xr_joints
from server.dialects.xr_rest import FINGERS, PALM, WRIST, XR_PARENTS


@dataclass(frozen=True, eq=False, repr=False)
class XrLayout:
    """What one family of clients makes of OpenXR's joints.

    Args:
        name: The dialect's name.
        order: Which of OpenXR's 26 joints come, and in which order.
        joint_names: One name a joint, as the family writes them.
        change: From OpenXR's axes and metres to the family's.
        unit: Of positions and radii, in words.
        handedness: Of the axes, in words, with what is up and forward.
    """

    name: str
    order: tuple[int, ...]
    joint_names: tuple[str, ...]
    change: AxisChange
    unit: str
    handedness: str

    @property
    def parents(self) -> tuple[int, ...]:
        """Index of each joint's parent in this order; -1 for the wrist."""
        place = {joint: index for index, joint in enumerate(self.order)}
        return tuple(place.get(XR_PARENTS[joint], -1) for joint in self.order)


def _bones_of(finger: str) -> tuple[str, ...]:
    middle = () if finger == "thumb" else ("intermediate",)
    return ("metacarpal", "proximal", *middle, "distal", "tip")


_OPENXR_NAMES: Final = ("palm", "wrist", *(f"{finger}_{bone}" for finger in FINGERS for bone in _bones_of(finger)))
_WEBXR_FINGERS: Final = ("thumb", "index-finger", "middle-finger", "ring-finger", "pinky-finger")
_WEBXR_NAMES: Final = (
    "wrist",
    *(
        f"{spec}-{bone if bone in ('metacarpal', 'tip') else f'phalanx-{bone}'}"
        for finger, spec in zip(FINGERS, _WEBXR_FINGERS, strict=True)
        for bone in _bones_of(finger)
    ),
)
_CAMEL_NAMES: Final = tuple("".join(word.capitalize() for word in name.split("_")) for name in _OPENXR_NAMES)

_WRIST_FIRST: Final = (WRIST, PALM, *range(2, 26))
_SAME: Final = AxisChange(np.eye(3))

OPENXR: Final = XrLayout("openxr", tuple(range(26)), _OPENXR_NAMES, _SAME, "metres", "right-handed, +Y up")
WEBXR: Final = XrLayout("webxr", tuple(range(1, 26)), _WEBXR_NAMES, _SAME, "metres", "right-handed, +Y up")
UNITY: Final = XrLayout(
    "unity",
    _WRIST_FIRST,
    tuple(_CAMEL_NAMES[joint] for joint in _WRIST_FIRST),
    AxisChange(np.diag([1.0, 1.0, -1.0])),
    "metres",
    "left-handed, +Y up, +Z forward",
)
UNREAL: Final = XrLayout(
    "unreal",
    tuple(range(26)),
    _CAMEL_NAMES,
    AxisChange(np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), 100.0),
    "centimetres",
    "left-handed, +Z up, +X forward",
)


@dataclass(frozen=True)
class XrDialect:
    """One of the four dialects, for a world in which an axis is up.

    Args:
        layout: Joints and frame.
        up: Which axis of the calibration's world points up.
    """

    layout: XrLayout
    up: Up = DEFAULT_UP

    @property
    def name(self) -> str:
        """What clients ask for."""
        return self.layout.name

    @property
    def change(self) -> AxisChange:
        """From the calibration's world and metres to the dialect's frame and unit."""
        return self.layout.change.after(AxisChange(up_rotation(self.up)))

    def skeleton(self, rig: Rig) -> Skeleton:  # noqa: ARG002 - the same for every calibration
        """Describe the joints and the frame."""
        return Skeleton(
            dialect=self.name,
            units=f"{self.layout.unit}; radians; covariance in square millimetres",
            axes=(
                f"{self.layout.handedness}; x y z are {named_axes(self.change.matrix)} of the calibration's world "
                f"(up={self.up}), origin as there; mano stays in the calibration's world frame"
            ),
            joint_names=self.layout.joint_names,
            parents=self.layout.parents,
            up=self.up,
        )

    def hand(self, hand: HandPose, rig: Rig) -> DialectHand:  # noqa: ARG002 - the same for every calibration
        """Say a hand as OpenXR's joints in the dialect's order and frame."""
        order, change = list(self.layout.order), self.change
        joints = xr_joints(hand)
        turned = quaternion_from_matrix(up_rotation(self.up) @ joints.rotations_world[order])
        return DialectHand(
            joints=change.points(joints.positions_world[order]),
            orientations_xyzw=self.layout.change.quaternions(turned),
            covariance_mm2=change.covariances(joints.covariance_mm2[order]),
            radii=change.scale * joints.radii_m[order],
            tracked=joints.tracked[order],
        )

    def points(
        self,
        points_world: NDArray[np.float64],
        hand: HandPose,  # noqa: ARG002 - all hands share one frame
        rig: Rig,  # noqa: ARG002
    ) -> NDArray[np.float64]:
        """Move points to the dialect's frame."""
        return self.change.points(points_world)
