"""Windows on disk: what rendering and pseudo-labelling write, and training reads.

manifest.json        what the windows are and how many each shard holds; written last: a folder with it is whole
windows-00000.npz    crops as JPEG, cameras, masks, 2D labels
truth-00000.npz      what is really so, where it is known; training never opens it
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from training.room import told_if_full, write_whole
from training.samples import Window
from training.truth import Truth

SCHEMA: Final = "usthand.windows/1"
"""What this version reads and writes."""

MANIFEST: Final = "manifest.json"
_FAMILY: Final = "usthand.windows/"
_ARRAYS: Final = ("projections", "view_mask", "labels", "label_confidence")
_QUALITY: Final = 95
# How rendering, pseudo-labelling and published data sets name labels of that detector, seen or simulated.
_MEDIAPIPE: Final = ("detector", "mediapipe")
_KEPT_SHARDS: Final = 3
_UNFINISHED: Final = re.compile(rf"(windows|truth)-\d{{5}}\.(npz|part)|{re.escape(MANIFEST)}\.part")


@dataclass(frozen=True, eq=False, slots=True)
class Labelled:
    """A window with what else is known of it.

    Args:
        window: What training sees.
        truth: What is really so; None where nobody knows.
    """

    window: Window
    truth: Truth | None = None


def begin(folder: Path) -> None:
    """Make a folder ready for a data set; shards of one that was stopped before its manifest are deleted.

    Args:
        folder: Made if it is not there.

    Raises:
        ValueError: If the folder holds anything else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = list(folder.iterdir())
    for path in found:
        if not _UNFINISHED.fullmatch(path.name):
            raise ValueError(f"{folder}: is not empty (it has {path.name}); give an empty folder")
    for path in found:
        path.unlink()


def write_shard(folder: Path, number: int, windows: Sequence[Labelled]) -> None:
    """Write windows as one shard; a shard that is there is replaced once the new one is whole.

    Args:
        folder: An existing folder.
        number: The shard's, from 0.
        windows: At least one, all of equal T, V and S, with truth for all of them or for none.

    Raises:
        ValueError: If there is none, or they are not alike.
    """
    if not windows:
        raise ValueError(f"{folder}: shard {number} would have no windows; give at least one")
    shapes = {item.window.crops.shape for item in windows}
    if len(shapes) > 1:
        raise ValueError(f"{folder}: windows of different shapes {sorted(shapes)} cannot be one shard")
    known = [item.truth for item in windows if item.truth is not None]
    if known and len(known) < len(windows):
        raise ValueError(f"{folder}: shard {number} has truth for {len(known)} of {len(windows)} windows; all or none")
    side = windows[0].window.size_px
    pictures = [_encoded(crop) for item in windows for crop in item.window.crops.reshape(-1, side, side, 3)]
    content: dict[str, NDArray[Any]] = {
        name: np.stack([getattr(item.window, name) for item in windows]) for name in _ARRAYS
    }
    content["crops"] = np.concatenate(pictures)
    content["crop_ends"] = np.array(list(accumulate(len(picture) for picture in pictures)), dtype=np.int64)
    # Truth first: a shard of windows never stands there without it.
    if known:
        truth: dict[str, NDArray[Any]] = {"joints_local": np.stack([one.joints_local for one in known])}
        meshes = [one.vertices_local for one in known if one.vertices_local is not None]
        if len(meshes) == len(known):
            truth["vertices_local"] = np.stack(meshes).astype(np.float32)
        _save(folder / _truth_name(number), truth)
    _save(folder / shard_name(number), content)


def write_manifest(
    folder: Path, name: str, counts: Sequence[int], size_px: int, *, about: Mapping[str, Any], truth: bool
) -> None:
    """Say what the shards of a folder are: the folder is then a data set.

    Args:
        folder: The folder with shards 0, 1, ...
        name: What the data are called in reports.
        counts: Windows of each shard.
        size_px: Side of the crops.
        about: Everything that decided the windows, as plain maps: settings, seeds, sources.
        truth: Whether truth stands beside them.
    """
    digest = hashlib.sha256(json.dumps([about, list(counts)], sort_keys=True).encode())
    for number in range(len(counts)):
        digest.update(_content_digest(folder / shard_name(number)))
    content = {
        "schema": SCHEMA,
        "name": name,
        "version": digest.hexdigest()[:12],
        "size_px": size_px,
        "shards": list(counts),
        "truth": truth,
        "about": dict(about),
    }
    write_whole(folder / MANIFEST, json.dumps(content, indent=1))


def shard_name(number: int) -> str:
    """File of a shard's windows."""
    return f"windows-{number:05d}.npz"


class ShardedWindows:
    """A folder of shards; a few are kept in memory.

    Args:
        folder: What was written.
        first: The first window that is taken.
        last: The one after the last that is taken; None is all.

    Raises:
        ValueError: If the folder is no data set of this version, with the reason.
    """

    def __init__(self, folder: Path, first: int = 0, last: int | None = None) -> None:
        self._folder = folder
        self._manifest = _read_manifest(folder)
        self._ends = list(accumulate(self._manifest["shards"]))
        total = self._ends[-1]
        stop = total if last is None else last
        if not 0 <= first < stop <= total:
            raise ValueError(f"{folder}: windows {first} to {stop} were asked for; there are {total}")
        self._chosen = range(first, stop)
        self._shards: OrderedDict[int, dict[str, NDArray[Any]]] = OrderedDict()
        self._truths: OrderedDict[int, dict[str, NDArray[Any]]] = OrderedDict()

    @property
    def name(self) -> str:
        """What the data are called."""
        return str(self._manifest["name"])

    @property
    def version(self) -> str:
        """Digest of all windows, and of which are taken."""
        version = str(self._manifest["version"])
        whole = len(self._chosen) == self._ends[-1]
        return version if whole else f"{version}[{self._chosen.start}:{self._chosen.stop}]"

    @property
    def about(self) -> Mapping[str, Any]:
        """What decided the windows."""
        about: dict[str, Any] = self._manifest["about"]
        return about

    @property
    def detected(self) -> bool:
        """Whether the labels are MediaPipe's or like them: its joints lie elsewhere (`training.joint_definition`)."""
        return str(self.about.get("labels")).startswith(_MEDIAPIPE)

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int) -> Window:
        shard, inner = self._place(index)
        content = _kept(self._shards, shard, self._folder / shard_name(shard))
        frames, views = content["view_mask"].shape[1:]
        side = int(self._manifest["size_px"])
        crops = np.empty((frames * views, side, side, 3), np.uint8)
        ends = content["crop_ends"]
        for number in range(len(crops)):
            position = inner * len(crops) + number
            start = int(ends[position - 1]) if position else 0
            picture = cv2.imdecode(content["crops"][start : ends[position]], cv2.IMREAD_COLOR)
            if picture is None or picture.shape != crops.shape[1:]:
                raise ValueError(f"{self._folder / shard_name(shard)}: a crop of window {index} cannot be decoded")
            crops[number] = picture[..., ::-1]
        arrays = {name: content[name][inner] for name in _ARRAYS}
        return Window(crops=crops.reshape(frames, views, side, side, 3), **arrays)

    def truth(self, index: int) -> Truth | None:
        """What is really so in a window; None where the data do not know."""
        if not self._manifest["truth"]:
            return None
        shard, inner = self._place(index)
        content = _kept(self._truths, shard, self._folder / _truth_name(shard))
        vertices = content.get("vertices_local")
        return Truth(
            content["joints_local"][inner].astype(np.float64),
            None if vertices is None else vertices[inner].astype(np.float64),
        )

    def _place(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"no window {index}; {self.name} has {len(self)}")
        number = self._chosen[index]
        shard = int(np.searchsorted(self._ends, number, side="right"))
        return shard, number - (self._ends[shard - 1] if shard else 0)


def _kept(shards: OrderedDict[int, dict[str, NDArray[Any]]], number: int, path: Path) -> dict[str, NDArray[Any]]:
    if number not in shards:
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
                shards[number] = dict(content)
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise ValueError(f"{path}: cannot be read ({error}); copy it again, or make the data set anew") from error
        while len(shards) > _KEPT_SHARDS:
            shards.popitem(last=False)
    shards.move_to_end(number)
    return shards[number]


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise ValueError(
            f"{folder}: is no data set, or one that was not finished: it has no {MANIFEST}; make it with "
            "`usthand synth-windows` or `usthand pseudo-label`"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        schema = content["schema"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: no readable manifest ({error}); make the data set anew") from error
    if schema != SCHEMA:
        newer = isinstance(schema, str) and schema.startswith(_FAMILY)
        remedy = "it needs a newer usthand" if newer else "give a folder of windows"
        raise ValueError(f"{path}: has the schema {schema!r}, this usthand reads {SCHEMA}; {remedy}")
    if not content["shards"]:
        raise ValueError(f"{path}: the data set has no windows; make it anew")
    return dict(content)


def _truth_name(number: int) -> str:
    return f"truth-{number:05d}.npz"


def _encoded(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(crop[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ValueError(f"a crop of {crop.shape} cannot be written as JPEG")
    return np.asarray(data, dtype=np.uint8).ravel()


def _save(path: Path, content: Mapping[str, NDArray[Any]]) -> None:
    part = path.with_suffix(".part")
    with told_if_full(path), part.open("wb") as file:
        np.savez(file, allow_pickle=False, **content)
    part.replace(path)


def _content_digest(path: Path) -> bytes:
    """Digest of a shard's arrays, whatever its file says of dates."""
    digest = hashlib.sha256()
    with np.load(path, allow_pickle=False) as content:
        for name in sorted(content):
            array = content[name]
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()
