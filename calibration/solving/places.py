"""Where boards and cameras are, to begin with: poses from one sight, and cameras chained through shared ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.observations import BoardView

FEW_SHARED: Final = 3
_ROBUST_ROUNDS = 3
_OUTLIER_MEDIANS = 4.0
_ALWAYS_NEAR = 2e-3
_MOST_COMPARED = 60
_IN_A_LINE = 0.02
_PLAIN = np.eye(3)


def pose_from_sight(camera: Camera, view: BoardView, points_board: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return `T_camera_board` `(4, 4)` from one sight; None where its corners have no rays, or lie in one line."""
    rays = camera.unproject(view.corners_px)
    seen = np.isfinite(rays).all(axis=1)
    if seen.sum() < 4:
        return None
    points, rays = points_board[view.corner_ids][seen], rays[seen]
    T = _pose(points, rays)
    for _ in range(_ROBUST_ROUNDS):
        if T is None:
            return None
        moved = points @ T[:3, :3].T + T[:3, 3]
        away = np.linalg.norm(moved[:, :2] / moved[:, 2:] - rays, axis=1)
        near = away <= max(_OUTLIER_MEDIANS * float(np.median(away)), _ALWAYS_NEAR)
        if near.all() or near.sum() < max(4, len(near) / 2):
            return T
        # A corner that was taken for another pulls on all others: the pose is found again without it.
        points, rays = points[near], rays[near]
        T = _pose(points, rays)
    return T


def _pose(points: NDArray[np.float64], rays: NDArray[np.float64]) -> NDArray[np.float64] | None:
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if spread[1] < _IN_A_LINE * spread[0]:
        # One row of corners says nothing of the turn about it.
        return None
    there, turn, shift = cv2.solvePnP(points, rays, _PLAIN, None)
    if not there or shift[2, 0] <= 0:
        return None
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = cv2.Rodrigues(turn)[0], shift.ravel()
    return T


def board_poses(
    cameras: Sequence[Camera], views: Sequence[BoardView], points_board: NDArray[np.float64]
) -> dict[int, NDArray[np.float64]]:
    """Return `T_world_board` at each instant, from its sight with the most corners."""
    by_id = {camera.id: camera for camera in cameras}
    poses: dict[int, NDArray[np.float64]] = {}
    for view in sorted(views, key=lambda v: -len(v.corner_ids)):
        if view.instant in poses:
            continue
        camera = by_id[view.camera_id]
        T_camera_board = pose_from_sight(camera, view, points_board)
        if T_camera_board is not None:
            poses[view.instant] = np.linalg.inv(camera.T_camera_world) @ T_camera_board
    for view in views:
        if view.instant not in poses:
            # A sight that no pose fits yet starts a board's size before the camera: the adjustment finds the rest.
            T = np.eye(4)
            T[2, 3] = 3.0 * float(np.ptp(points_board, axis=0).max())
            poses[view.instant] = np.linalg.inv(by_id[view.camera_id].T_camera_world) @ T
    return poses


def chain_cameras(
    cameras: Sequence[Camera], views: Sequence[BoardView], points_board: NDArray[np.float64]
) -> tuple[Camera, ...]:
    """Place cameras by chaining pairs that saw the board at the same instants; the first camera is the world.

    Args:
        cameras: With their lenses; where they are does not count.
        views: Their sights.
        points_board: The board.

    Raises:
        CalibrationError: If a camera shares no instants with the others.
    """
    by_id = {camera.id: camera for camera in cameras}
    seen: dict[int, dict[str, NDArray[np.float64]]] = defaultdict(dict)
    for view in views:
        pose = pose_from_sight(by_id[view.camera_id], view, points_board)
        if pose is not None:
            seen[view.instant][view.camera_id] = pose
    pairs = _pairs(seen)
    T_camera_world = {cameras[0].id: np.eye(4)}
    while len(T_camera_world) < len(cameras):
        # The pair that shares most instants, of those that lead from a camera that has its place to one that has none.
        reach = [
            (len(transforms), one, other)
            for (one, other), transforms in pairs.items()
            if one in T_camera_world and other not in T_camera_world
        ]
        count, one, other = max(reach, default=(0, "", ""))
        if count < FEW_SHARED:
            raise CalibrationError(_unreached(cameras, T_camera_world, pairs))
        T_camera_world[other] = _middle(pairs[one, other]) @ T_camera_world[one]
    return tuple(camera.with_transform(T_camera_world[camera.id]) for camera in cameras)


def _pairs(
    seen: Mapping[int, Mapping[str, NDArray[np.float64]]],
) -> dict[tuple[str, str], list[NDArray[np.float64]]]:
    """Return `T_other_one` of each pair (one, other) at each instant that both saw."""
    pairs: dict[tuple[str, str], list[NDArray[np.float64]]] = defaultdict(list)
    for poses in seen.values():
        for one, other in combinations(poses, 2):
            T_other_one = poses[other] @ np.linalg.inv(poses[one])
            pairs[one, other].append(T_other_one)
            pairs[other, one].append(np.linalg.inv(T_other_one))
    return pairs


def _middle(transforms: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the one among rigid transforms that is nearest to all others: outliers do not move it."""
    # More than some dozens say no more about which is the middle one.
    stack = np.array(transforms[:: max(1, len(transforms) // _MOST_COMPARED)])
    turns = Rotation.from_matrix(stack[:, :3, :3])
    scale = max(float(np.median(np.linalg.norm(stack[:, :3, 3], axis=1))), 1e-6)
    away = [
        float(
            np.median(
                (turns.inv() * turns[i]).magnitude() + np.linalg.norm(stack[:, :3, 3] - stack[i, :3, 3], axis=1) / scale
            )
        )
        for i in range(len(stack))
    ]
    middle: NDArray[np.float64] = stack[int(np.argmin(away))]
    return middle


def _unreached(
    cameras: Sequence[Camera],
    placed: Mapping[str, object],
    pairs: Mapping[tuple[str, str], list[NDArray[np.float64]]],
) -> dict[str, list[str]]:
    """Say of each camera that was not reached what it shares, and of the rig into which groups it falls."""
    reasons: dict[str, list[str]] = {}
    for camera in cameras:
        if camera.id in placed:
            continue
        shared = {other: len(found) for (one, other), found in pairs.items() if one == camera.id}
        best = max(shared, key=lambda i: shared[i], default=None)
        said = f"most, {shared[best]}, with {best}" if best is not None else "none"
        reasons[camera.id] = [
            f"it shares too few instants of the board with the other cameras ({said}; {FEW_SHARED} at least): hold "
            "the board where this camera and another one see it at once"
        ]
    groups = _groups([camera.id for camera in cameras], pairs)
    said = "; ".join(" and ".join(group) for group in groups)
    reasons[""] = [
        f"the cameras fall into {len(groups)} groups that never saw the board together: {said}. Hold it where cameras "
        "of two groups see it at once"
    ]
    return reasons


def _groups(ids: Sequence[str], pairs: Mapping[tuple[str, str], list[NDArray[np.float64]]]) -> list[list[str]]:
    groups: list[list[str]] = []
    left = list(ids)
    while left:
        group = [left.pop(0)]
        # Grows while it is walked through: each member brings those that it shares enough with.
        for one in group:
            near = [other for other in left if len(pairs.get((one, other), ())) >= FEW_SHARED]
            group += near
            left = [other for other in left if other not in near]
        groups.append(group)
    return groups
