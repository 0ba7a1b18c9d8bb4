"""The hand model at run time: MANO's forward pass in numpy, one frozen type a stage.

    HandModel --with_shape--> ShapedHand --posed--> PosedHand --vertices()--> mesh

All positions are metres. A model's own frame is MANO's: a right hand lies flat with its palm towards -y, its wrist at
+x, its fingers pointing along -x and its thumb on the +z side; a left hand is the mirror image across the plane x = 0.
The rest pose is the flat hand: a pose of zeros is the rest pose (`flat_hand_mean=True`), and every joint's rotation is
given in the axes of this frame.

Two joint orders occur. MANO's has 16 joints (wrist, then index, middle, pinky, ring, thumb, three each) to which five
tip vertices are appended (thumb, index, middle, ring, pinky). The canonical order has 21 (wrist, then thumb, index,
middle, ring, little, four each). `MANO_TO_CANONICAL` takes the first to the second.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.hand_model.rotations import matrix_from_axis_angle

Side = Literal["left", "right"]

HAND_POSE_SIZE: Final = 48
"""Elements of a pose: the root's axis-angle, then those of MANO's 15 finger joints."""

SHAPE_SIZE: Final = 10
"""Elements of a shape."""

MANO_PARENTS: Final = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
"""Parent of each of MANO's 16 joints."""

MANO_TO_CANONICAL: Final = (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20)
"""`canonical = mano[MANO_TO_CANONICAL]` for MANO's 16 joints with the five tips appended."""

PARENTS_21: Final = (-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19)
"""Parent of each of the 21 canonical joints."""

JOINT_NAMES: Final = (
    "wrist",
    *(f"{finger}{joint}" for finger in ("thumb", "index", "middle", "ring", "little") for joint in (1, 2, 3, 4)),
)
"""Names of the 21 canonical joints; joint 4 of a finger is its tip."""

_EMBEDDED: Final = Path(__file__).with_name("data") / "open_hand.npz"
_JOINTS: Final = len(MANO_PARENTS)
_POSE_FEATURES: Final = 9 * (_JOINTS - 1)
_REQUIRED: Final = (
    "v_template",
    "faces",
    "shapedirs",
    "posedirs",
    "J_regressor",
    "parents",
    "weights",
    "tip_vertex_ids",
    "side",
    "name",
)
_CANONICAL_INDEX: Final[NDArray[np.int64]] = np.array(MANO_TO_CANONICAL)
_IDENTITY: Final = np.eye(3)
_MIRROR: Final = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class HandModel:
    """A hand of any shape, in MANO's layout: a mesh, its skeleton and how the two vary.

    Args:
        name: What the model is called in model cards and messages.
        side: Which hand it is.
        sha256: Hex digest of the file that the model was read from; a mirrored model keeps it.
        template_vertices: Mean mesh `(Nv, 3)` in the rest pose, metres.
        faces: Triangles `(F, 3)`, counter-clockwise seen from outside.
        shape_directions: Displacement of each vertex per unit of each shape element `(Nv, 3, 10)`, metres.
        pose_directions: Displacement of each vertex per element of the pose feature, which is each finger joint's
            rotation matrix minus the identity, row by row `(Nv, 3, 135)`, metres. All zero where the model has no
            correctives.
        joint_regressor: Joints as weighted sums of vertices `(16, Nv)`; rows sum to 1.
        parents: Parent of each joint `(16,)`; the root's is -1.
        skinning_weights: Share of each joint in each vertex `(Nv, 16)`; rows sum to 1.
        tip_vertex_ids: The vertices at the tips of thumb, index, middle, ring and little finger `(5,)`.
    """

    name: str
    side: Side
    sha256: str
    template_vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    shape_directions: NDArray[np.float64]
    pose_directions: NDArray[np.float64]
    joint_regressor: NDArray[np.float64]
    parents: NDArray[np.int64]
    skinning_weights: NDArray[np.float64]
    tip_vertex_ids: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.side not in ("left", "right"):
            raise ValueError(f"hand model {self.name}: side is {self.side!r}; it must be 'left' or 'right'")
        count = len(self.template_vertices)
        expected: dict[str, tuple[int, ...]] = {
            "template_vertices": (count, 3),
            "faces": (len(self.faces), 3),
            "shape_directions": (count, 3, SHAPE_SIZE),
            "pose_directions": (count, 3, _POSE_FEATURES),
            "joint_regressor": (_JOINTS, count),
            "parents": (_JOINTS,),
            "skinning_weights": (count, _JOINTS),
            "tip_vertex_ids": (5,),
        }
        for field, shape in expected.items():
            array: NDArray[np.generic] = getattr(self, field)
            if array.shape != shape:
                raise ValueError(
                    f"hand model {self.name}: {field} has shape {array.shape} where {shape} is needed; "
                    f"use a model in MANO's layout ({_JOINTS} joints, {SHAPE_SIZE} shape directions)"
                )
            if not np.all(np.isfinite(array)):
                raise ValueError(f"hand model {self.name}: {field} has values that are not finite; convert it again")
            # A model is shared by threads: nobody writes to it.
            own = np.array(array, order="C")
            own.flags.writeable = False
            object.__setattr__(self, field, own)
        if tuple(int(p) for p in self.parents) != MANO_PARENTS:
            raise ValueError(
                f"hand model {self.name}: parents are {self.parents.tolist()}; MANO's tree is {list(MANO_PARENTS)}"
            )
        for field, ids in (("faces", self.faces), ("tip_vertex_ids", self.tip_vertex_ids)):
            if ids.size == 0 or ids.min() < 0 or ids.max() >= count:
                raise ValueError(
                    f"hand model {self.name}: {field} is empty or names vertices outside 0..{count - 1}; "
                    "convert it again"
                )
        for field, rows in (("joint_regressor", self.joint_regressor), ("skinning_weights", self.skinning_weights)):
            error = float(np.max(np.abs(rows.sum(axis=1) - 1.0)))
            if error > 1e-3:
                raise ValueError(
                    f"hand model {self.name}: rows of {field} miss a sum of 1 by up to {error:.3g}; convert it again"
                )

    @classmethod
    def load(cls, path: Path | None = None, side: Side = "right") -> HandModel:
        """Read a model from an `.npz` file. Nothing in the file is unpickled.

        Args:
            path: The file; None is the embedded open hand.
            side: Which hand to return; where the file holds the other one, it is mirrored.

        Returns:
            The model of that side.

        Raises:
            ValueError: If the file is not a hand model, with what is wrong and what to do.
            FileNotFoundError: If there is no such file.
        """
        path = _EMBEDDED if path is None else path
        content = path.read_bytes()
        remedy = "give an .npz made by `usthand hand-model convert`"
        try:
            archive = np.load(io.BytesIO(content), allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError(f"{path}: a single array, not an .npz hand model; {remedy}")
            with archive:
                missing = [key for key in _REQUIRED if key not in archive.files]
                if missing:
                    raise ValueError(f"{path}: lacks {', '.join(missing)}; {remedy}")
                arrays = {key: archive[key] for key in _REQUIRED}
        except (ValueError, EOFError, OSError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
            if str(error).startswith(f"{path}:"):
                raise
            raise ValueError(f"{path}: not a readable hand model ({error}); {remedy}") from error
        stored_side = str(arrays["side"])
        if stored_side not in ("left", "right"):
            raise ValueError(f"{path}: side is {stored_side!r}; it must be 'left' or 'right'; {remedy}")
        try:
            model = cls(
                name=str(arrays["name"]),
                side="left" if stored_side == "left" else "right",
                sha256=hashlib.sha256(content).hexdigest(),
                template_vertices=_float64(arrays["v_template"]),
                faces=arrays["faces"].astype(np.int32),
                shape_directions=_float64(arrays["shapedirs"]),
                pose_directions=_float64(arrays["posedirs"]),
                joint_regressor=_float64(arrays["J_regressor"]),
                parents=arrays["parents"].astype(np.int64),
                skinning_weights=_float64(arrays["weights"]),
                tip_vertex_ids=arrays["tip_vertex_ids"].astype(np.int64),
            )
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from error
        return model if model.side == side else model.mirrored()

    def mirrored(self) -> HandModel:
        """Return the other hand: the mirror image across the plane x = 0, with its faces turned to stay outward.

        Posed by the mirrored pose (axis-angle `(x, -y, -z)` in place of `(x, y, z)`) it is the mirror image of this
        hand.
        """
        # A mirrored rotation matrix has the signs of its mixed x elements turned: M R M with M = diag(-1, 1, 1).
        feature_signs = np.tile(np.outer(_MIRROR, _MIRROR).ravel(), _JOINTS - 1)
        return replace(
            self,
            side="left" if self.side == "right" else "right",
            template_vertices=self.template_vertices * _MIRROR,
            faces=np.ascontiguousarray(self.faces[:, ::-1]),
            shape_directions=self.shape_directions * _MIRROR[:, None],
            pose_directions=self.pose_directions * _MIRROR[:, None] * feature_signs,
        )

    def with_shape(self, shape: ArrayLike) -> ShapedHand:
        """Give the hand a shape.

        Args:
            shape: Shape elements `(10,)`; each is about standard normal over people.

        Returns:
            The hand of that shape, ready to be posed.
        """
        elements = _vector("shape", shape, SHAPE_SIZE)
        vertices = self.template_vertices + self.shape_directions @ elements
        return ShapedHand(
            model=self,
            shape=elements,
            rest_vertices=vertices,
            rest_joints=self.joint_regressor @ vertices,
            rest_tips=vertices[self.tip_vertex_ids],
        )

    @cached_property
    def has_pose_directions(self) -> bool:
        """Whether the mesh has pose correctives; without them their product with the pose is left out."""
        return bool(np.any(self.pose_directions))

    @cached_property
    def _tip_weights(self) -> NDArray[np.float64]:
        return self.skinning_weights[self.tip_vertex_ids]

    @cached_property
    def _tip_pose_directions(self) -> NDArray[np.float64]:
        return self.pose_directions[self.tip_vertex_ids].reshape(15, _POSE_FEATURES)

    @cached_property
    def _flat_pose_directions(self) -> NDArray[np.float32]:
        # Single precision, as in the file: reading this matrix is what skinning with correctives costs.
        return self.pose_directions.reshape(-1, _POSE_FEATURES).astype(np.float32)


@dataclass(frozen=True, eq=False)
class ShapedHand:
    """One person's hand in the rest pose.

    Args:
        model: The model that it is a shape of.
        shape: Shape elements `(10,)`.
        rest_vertices: Mesh `(Nv, 3)`, metres, model frame.
        rest_joints: MANO's joints `(16, 3)`, MANO's order, metres, model frame.
        rest_tips: Tips of thumb, index, middle, ring and little finger `(5, 3)`, metres, model frame.
    """

    model: HandModel
    shape: NDArray[np.float64]
    rest_vertices: NDArray[np.float64]
    rest_joints: NDArray[np.float64]
    rest_tips: NDArray[np.float64]

    @property
    def rest_joints_21(self) -> NDArray[np.float64]:
        """The 21 joints `(21, 3)` of the rest pose, canonical order, metres, model frame."""
        joints: NDArray[np.float64] = np.concatenate([self.rest_joints, self.rest_tips])
        return joints[_CANONICAL_INDEX]

    def posed(self, pose: ArrayLike, translation: ArrayLike) -> PosedHand:
        """Pose the hand, as `smplx.MANO(use_pca=False, flat_hand_mean=True)` does.

        Args:
            pose: Axis-angle vectors `(48,)`, radians: the root's, then the 15 finger joints' in MANO's order. Zeros are
                the rest pose. The root turns about its own rest position, not about the origin.
            translation: Added last `(3,)`, metres.

        Returns:
            The posed hand, in the frame that the root's rotation and the translation lead to.
        """
        vectors = _vector("pose", pose, HAND_POSE_SIZE).reshape(_JOINTS, 3)
        return self._posed(matrix_from_axis_angle(vectors), _vector("translation", translation, 3))

    def posed_from_rotations(self, local_rotations: ArrayLike, translation: ArrayLike) -> PosedHand:
        """Pose the hand by rotation matrices.

        Args:
            local_rotations: Each of MANO's joints relative to its parent `(16, 3, 3)`, the root's first.
            translation: Added last `(3,)`, metres.

        Returns:
            The posed hand.
        """
        rotations = np.asarray(local_rotations, dtype=np.float64)
        if rotations.shape != (_JOINTS, 3, 3):
            raise ValueError(f"local rotations have shape {rotations.shape}; ({_JOINTS}, 3, 3) is needed")
        return self._posed(rotations, _vector("translation", translation, 3))

    @cached_property
    def _bones(self) -> NDArray[np.float64]:
        """Finger joints relative to their parents `(5, 3, 3, 1)`: finger, joint, column vector."""
        offsets: NDArray[np.float64] = self.rest_joints[1:] - self.rest_joints[list(MANO_PARENTS[1:])]
        return offsets.reshape(5, 3, 3, 1)

    def _posed(self, local: NDArray[np.float64], translation: NDArray[np.float64]) -> PosedHand:
        model = self.model
        # MANO's tree is five chains of three below the root: walk down all fingers at once.
        fingers = local[1:].reshape(5, 3, 3, 3)
        bones = self._bones
        rotations = np.empty((_JOINTS, 3, 3))
        joints = np.empty((_JOINTS + 5, 3))
        rotations[0] = parent_rotation = local[0]
        joints[0] = self.rest_joints[0] + translation
        parent_joint = joints[0, :, None]
        finger_rotations = rotations[1:].reshape(5, 3, 3, 3)
        finger_joints = joints[1:_JOINTS].reshape(5, 3, 3, 1)
        for level in range(3):
            finger_joints[:, level] = parent_joint + parent_rotation @ bones[:, level]
            finger_rotations[:, level] = parent_rotation @ fingers[:, level]
            parent_rotation, parent_joint = finger_rotations[:, level], finger_joints[:, level]
        # Row j of this takes a rest point of joint j to x -> R x + t: the rotation's nine elements, then t.
        transforms = np.empty((_JOINTS, 12))
        transforms[:, :9] = rotations.reshape(_JOINTS, 9)
        transforms[:, 9:] = joints[:_JOINTS] - (rotations @ self.rest_joints[:, :, None])[:, :, 0]
        tips = self.rest_tips
        if model.has_pose_directions:
            feature = (local[1:] - _IDENTITY).ravel()
            tips = tips + (model._tip_pose_directions @ feature).reshape(5, 3)
        else:
            feature = None
        blended = model._tip_weights @ transforms
        joints[_JOINTS:] = (blended[:, :9].reshape(5, 3, 3) @ tips[:, :, None])[:, :, 0] + blended[:, 9:]
        return PosedHand(
            shaped=self, joints=joints[_CANONICAL_INDEX], rotations=rotations, _transforms=transforms, _feature=feature
        )


@dataclass(frozen=True, eq=False)
class PosedHand:
    """A hand at one instant.

    Args:
        shaped: The hand that was posed.
        joints: The 21 joints `(21, 3)`, canonical order, metres.
        rotations: Global rotation of each of MANO's joints `(16, 3, 3)`, MANO's order; the identity at rest.
    """

    shaped: ShapedHand
    joints: NDArray[np.float64]
    rotations: NDArray[np.float64]
    _transforms: NDArray[np.float64]
    _feature: NDArray[np.float64] | None

    def vertices(self) -> NDArray[np.float64]:
        """Skin the mesh.

        Returns:
            Vertices `(Nv, 3)`, metres, in the frame of `joints`.
        """
        model = self.shaped.model
        points = self.shaped.rest_vertices
        if self._feature is not None:
            points = points + (model._flat_pose_directions @ self._feature.astype(np.float32)).reshape(-1, 3)
        blended = model.skinning_weights @ self._transforms
        posed = blended[:, 9:].copy()
        # Written out by element: three fused passes are faster than a product of small matrices per vertex.
        for row in range(3):
            for column in range(3):
                posed[:, row] += blended[:, 3 * row + column] * points[:, column]
        return posed


def _vector(what: str, values: ArrayLike, size: int) -> NDArray[np.float64]:
    vector = np.asarray(values, dtype=np.float64)
    if vector.shape != (size,):
        raise ValueError(f"{what} has shape {vector.shape}; ({size},) is needed")
    return vector


def _float64(array: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.ascontiguousarray(array, dtype=np.float64)
