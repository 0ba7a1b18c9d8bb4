"""Detections on disk, so that solving again, otherwise, need not look for the board again."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from calibration.boards import DEFAULT_GATES, Board
from capture.rig_config import FileSource, ImagesSource, RecordingSource, RigConfig
from server.calibrating.footage import Footage, Sight

FILE: Final = "detections.npz"
_VERSION: Final = 1


def fingerprint(config: RigConfig, board: Board, every: int = 1) -> str:
    """Return a digest of what detections depend on: the rig, its files as they are, the board, gates and stride."""
    digest = hashlib.sha256(f"{_VERSION}\0{board.spec}\0{DEFAULT_GATES}\0{every}\0".encode())
    digest.update(config.model_dump_json(exclude={"calibration", "name"}).encode())
    for path in _files(config):
        stat = path.stat()
        digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _files(config: RigConfig) -> Iterator[Path]:
    for camera in config.cameras:
        source = camera.source
        if isinstance(source, FileSource | ImagesSource | RecordingSource) and source.path.exists():
            yield source.path
            if source.path.is_dir():
                yield from sorted(source.path.iterdir())
        if isinstance(source, FileSource) and source.timestamps is not None and source.timestamps.path.exists():
            yield source.timestamps.path


def save_detections(footage: Footage, key: str, folder: Path) -> None:
    """Write what was seen into a report folder.

    Args:
        footage: What was seen.
        key: Its `fingerprint`.
        folder: An existing folder.
    """
    sights = footage.sights
    head = {
        "key": key,
        "sizes": {i: list(size) for i, size in footage.sizes.items()},
        "frame_sets": footage.frame_sets,
        "refused": {i: dict(counts) for i, counts in footage.refused.items()},
        "instants_ns": list(footage.instants_ns.items()),
        "cameras": [sight.camera_id for sight in sights],
    }
    path = folder / FILE
    # Beside it first: a file that is written half, as the power goes, is none.
    part = path.with_suffix(".part.npz")
    np.savez_compressed(
        part,
        head=np.frombuffer(json.dumps(head).encode(), dtype=np.uint8),
        instants=np.array([sight.instant for sight in sights], dtype=np.int64),
        times_ns=np.array([sight.timestamp_ns for sight in sights], dtype=np.int64),
        edges_px=np.array([sight.edge_px for sight in sights]),
        counts=np.array([len(sight.corner_ids) for sight in sights], dtype=np.int64),
        corner_ids=np.concatenate([sight.corner_ids for sight in sights]),
        corners_px=np.concatenate([sight.corners_px for sight in sights]),
    )
    part.replace(path)


def load_detections(key: str, folder: Path) -> Footage | None:
    """Read what was seen; None if the folder holds none, or of other footage.

    Args:
        key: The `fingerprint` that they must have.
        folder: The report folder.
    """
    try:
        with (folder / FILE).open("rb") as file, np.load(file, allow_pickle=False) as data:
            head: dict[str, Any] = json.loads(data["head"].tobytes())
            if head["key"] != key:
                return None
            ends = np.cumsum(data["counts"])[:-1]
            columns = zip(
                head["cameras"],
                data["instants"].tolist(),
                data["times_ns"].tolist(),
                np.split(data["corner_ids"], ends),
                np.split(data["corners_px"], ends),
                data["edges_px"].tolist(),
                strict=True,
            )
            sights = tuple(Sight(*column) for column in columns)
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        # What is there is no such file: it is written anew.
        return None
    return Footage(
        MappingProxyType({i: (width, height) for i, (width, height) in head["sizes"].items()}),
        head["frame_sets"],
        sights,
        MappingProxyType({i: MappingProxyType(counts) for i, counts in head["refused"].items()}),
        MappingProxyType(dict(head["instants_ns"])),
    )
