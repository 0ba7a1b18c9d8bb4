"""Run by MediaPipe's own Python: `_mediapipe_worker.py JOB.json RESULT.json`. Knows nothing of the project.

MediaPipe Hands (legacy solutions) follows two hands in every view by itself; hands of different views are joined by
their handedness and triangulated by OpenCV. That is how the usual multi-camera scripts do it.
"""

from __future__ import annotations

import importlib.metadata
import json
import queue
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import mediapipe as mp  # type: ignore[import-not-found, unused-ignore]
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

Seen = dict[str, Any]
"""A hand in a view: `side`, `score`, `keypoints_px` (21, 2)."""

# MediaPipe names the side as if the picture were mirrored.
_SIDES = {"Left": "right", "Right": "left"}


class View:
    """One camera: its video, its lens, its own tracker."""

    def __init__(self, camera: dict[str, Any]) -> None:
        self._video = cv2.VideoCapture(camera["video"], cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if not self._video.isOpened():
            raise SystemExit(f"{camera['video']} cannot be opened")
        self._next = 0
        self._K = np.array(camera["K"])
        self._distortion = np.array(camera["distortion"])
        self._fisheye = camera["model"] == "fisheye"
        self.projection = np.array(camera["T_camera_world"])[:3]
        self._hands = mp.solutions.hands.Hands(
            static_image_mode=False,
            max_num_hands=2,
            model_complexity=1,
            min_detection_confidence=0.5,
            min_tracking_confidence=0.5,
        )

    def look(self, index: int | None) -> list[Seen]:
        """Decode a frame of the video and find hands in it."""
        if index is None:
            return []
        while self._next < index:
            self._video.grab()
            self._next += 1
        there, image = self._video.read()
        self._next += 1
        if not there:
            raise SystemExit(f"frame {index} cannot be decoded")
        height, width = image.shape[:2]
        found = self._hands.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        result = []
        for hand, kind in zip(found.multi_hand_landmarks or [], found.multi_handedness or [], strict=True):
            # Landmarks are shares of the picture, pixel edges at 0 and 1; ours count pixel centres.
            points = np.array([(mark.x * width - 0.5, mark.y * height - 0.5) for mark in hand.landmark])
            best = kind.classification[0]
            result.append({"side": _SIDES[best.label], "score": float(best.score), "keypoints_px": points})
        return result

    def rays(self, points: Points) -> Points:
        """Undistort pixels `(N, 2)` to normalised coordinates."""
        undistort = cv2.fisheye.undistortPoints if self._fisheye else cv2.undistortPoints
        rays = undistort(points.reshape(-1, 1, 2), self._K, self._distortion)
        return np.asarray(rays, dtype=np.float64).reshape(-1, 2)

    def close(self) -> None:
        """End the tracker."""
        self._hands.close()
        self._video.release()


def triangulate(projections: list[Points], points: list[Points]) -> Points:
    """Triangulate joints `(21, 3)`: OpenCV's function for two views, the same linear system for more."""
    if len(points) == 2:
        both = cv2.triangulatePoints(projections[0], projections[1], points[0].T, points[1].T)
        homogeneous = np.asarray(both, dtype=np.float64).T
    else:
        rows = []
        for projection, seen in zip(projections, points, strict=True):
            rows.append(seen[:, :1] * projection[2] - projection[0])
            rows.append(seen[:, 1:] * projection[2] - projection[1])
        homogeneous = np.linalg.svd(np.stack(rows, axis=1))[2][:, -1]
    joints: Points = homogeneous[:, :3] / homogeneous[:, 3:]
    return joints


def join(views: list[View], seen: list[list[Seen]], left_out: int | None = None) -> list[dict[str, Any]]:
    """Join hands of different views by their side, the surest one of a view, and triangulate them."""
    hands = []
    for side in ("left", "right"):
        own = {}
        for index, found in enumerate(seen):
            of_side = [hand for hand in found if hand["side"] == side]
            if of_side and index != left_out:
                own[index] = max(of_side, key=lambda hand: hand["score"])
        if len(own) >= 2:
            points = [views[index].rays(hand["keypoints_px"]) for index, hand in own.items()]
            joints = triangulate([views[index].projection for index in own], points)
            hands.append({"side": side, "views": list(own), "joints_world": joints})
    return hands


def one_after_the_other(views: list[View], frame_sets: list[list[int | None]]) -> Iterator[list[list[Seen]]]:
    """Look at one view after the other."""
    for frames in frame_sets:
        yield [view.look(index) for view, index in zip(views, frames, strict=True)]


def side_by_side(views: list[View], frame_sets: list[list[int | None]]) -> Iterator[list[list[Seen]]]:
    """Look at each view in a thread of its own, a few frames ahead."""
    queues: list[queue.Queue[list[Seen] | None]] = [queue.Queue(4) for _ in views]

    def follow(number: int) -> None:
        try:
            for frames in frame_sets:
                queues[number].put(views[number].look(frames[number]))
        except BaseException:
            queues[number].put(None)
            raise

    for number in range(len(views)):
        threading.Thread(target=follow, args=(number,), daemon=True).start()
    for _ in frame_sets:
        seen = [waiting.get() for waiting in queues]
        if any(found is None for found in seen):
            raise SystemExit("a view's thread failed")
        yield [found or [] for found in seen]


def main() -> None:
    """Do the job."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    views = [View(camera) for camera in job["cameras"]]
    follow = side_by_side if job["mode"] == "threads" else one_after_the_other
    times_ms, all_seen, all_hands = [], [], []
    last_s = time.perf_counter()
    for count, seen in enumerate(follow(views, job["frame_sets"])):
        hands = join(views, seen)
        # What a program would do with them, as ours does: say them.
        json.dumps([{**hand, "joints_world": np.round(hand["joints_world"], 5).tolist()} for hand in hands])
        now_s = time.perf_counter()
        if count >= job["warm_up"]:
            times_ms.append(1e3 * (now_s - last_s))
        last_s = now_s
        all_seen.append(seen)
        all_hands.append(hands)
    without = [[join(views, seen, left_out) for left_out in range(len(views))] for seen in all_seen]
    for view in views:
        view.close()
    names = ("mediapipe", "opencv-contrib-python", "numpy")
    versions = {name: importlib.metadata.version(name) for name in names}
    result = {"times_ms": times_ms, "seen": all_seen, "hands": all_hands, "without": without, "versions": versions}
    Path(sys.argv[2]).write_text(json.dumps(result, default=lambda array: array.tolist()), encoding="utf-8")


if __name__ == "__main__":
    main()
