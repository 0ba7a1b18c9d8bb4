"""What a fixed trunk says of each crop, computed once: training then pays for nothing but what learns.

A trunk of convolutions runs several times as fast in ONNX Runtime as in torch on a CPU, and a window's maps are as
large as its pixels, so a data set is seen once and its maps are kept in memory-mapped files of float16.
"""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.network.backbones.base import Backbone, Features
from engine.network.export import quiet_exporter
from engine.network.weights import weights_digest
from training.datasets.base import WindowSource
from training.devices import sent
from training.feeds import taken
from training.room import reserve, told_if_full, write_whole
from training.samples import Batch, Window

_SCHEMA: Final = "usthand.levels/2"
_MANIFEST: Final = "manifest.json"
_LEVELS: Final = ("f2", "f3", "f4")
_REST: Final = ("projections", "view_mask", "labels", "label_confidence")
_CROPS_AT_ONCE: Final = 8


class LevelCache:
    """Windows as a fixed trunk saw them: a feed for training.

    Args:
        folder: What `build_levels` wrote.
        backbone: The trunk that is trained with.
        source: The windows.

    Raises:
        ValueError: If the folder holds no levels, or those of another trunk or other windows.
    """

    def __init__(self, folder: Path, backbone: Backbone, source: WindowSource) -> None:
        manifest = _read_manifest(folder)
        wanted = _identity(backbone, source)
        if {name: manifest.get(name) for name in wanted} != wanted:
            raise ValueError(
                f"{folder} holds levels of {manifest.get('source')} (version {manifest.get('version')}) by another "
                f"trunk or of other windows than {source.name} (version {source.version}); delete it to build it anew"
            )
        self._levels = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in _LEVELS]
        self._rest: dict[str, NDArray[np.float32]] = {name: np.load(folder / f"{name}.npy") for name in _REST}

    @property
    def views(self) -> int:
        """Views of a window."""
        return int(self._rest["view_mask"].shape[2])

    def __len__(self) -> int:
        return len(self._rest["view_mask"])

    def batch(
        self, indices: Sequence[int], views: Sequence[Sequence[int]] | None = None, most: int | None = None
    ) -> Batch:
        """Fetch windows without their crops; see `training.feeds.Feed`."""
        chosen = [list(range(self.views))] * len(indices) if views is None else views
        seen = self._rest["view_mask"].max(axis=1) > 0
        chosen = [taken(some, seen[index], most) for index, some in zip(indices, chosen, strict=True)]

        def picked(array: NDArray[Any]) -> Tensor:
            rows = [array[index][:, some] for index, some in zip(indices, chosen, strict=True)]
            return torch.from_numpy(np.stack(rows).astype(np.float32, copy=False))

        # Channels lie last in memory: convolutions of a CPU are faster so.
        second, third, fourth = (picked(level).flatten(0, 2).permute(0, 3, 1, 2) for level in self._levels)
        # Nothing reads F1, nor crops that were seen already.
        first = second.new_zeros(len(second), 0, 0, 0)
        rest = {name: picked(self._rest[name]) for name in _REST}
        return Batch(
            crops=torch.zeros((*rest["view_mask"].shape, 0, 0, 3), dtype=torch.uint8),
            projections=rest["projections"],
            view_mask=rest["view_mask"],
            labels=rest["labels"],
            label_confidence=rest["label_confidence"],
            levels=(first, second, third, fourth),
        )


def build_levels(
    folder: Path,
    backbone: Backbone,
    source: WindowSource,
    advance: Callable[[str], None] = lambda _: None,
    *,
    threads: int = 1,
    device: torch.device | None = None,
) -> LevelCache:
    """Let a trunk see all windows, unless the folder has its answers already.

    A build that was stopped goes on where it was.

    Args:
        folder: Where the levels are kept; made if it is not there.
        backbone: The trunk, in float32.
        source: The windows, all with equally many views.
        advance: Told about each window.
        threads: Of ONNX Runtime.
        device: A GPU that looks instead of it; None, or a CPU, is ONNX Runtime.

    Returns:
        The levels.

    Raises:
        ValueError: If there is no window, one has another shape than the first, or the folder holds something else.
        OSError: If there is no room for them.
    """
    if not len(source):
        raise ValueError(f"{source.name} has no windows; give data with at least one")
    folder.mkdir(parents=True, exist_ok=True)
    identity = _identity(backbone, source)
    if (folder / _MANIFEST).exists():
        manifest = _read_manifest(folder)
        if {name: manifest.get(name) for name in identity} != identity:
            raise ValueError(f"{folder} holds levels of another trunk or of other windows; give another folder")
    else:
        manifest = {"schema": _SCHEMA, **identity, "done": 0}
    first = source[0]
    arrays = _open_arrays(folder, backbone, first, len(source), new=not manifest["done"])
    if manifest["done"] < len(source):
        on_gpu = device is not None and device.type == "cuda"
        look = (
            _trunk_on(backbone, device) if device is not None and on_gpu else _trunk(backbone, first.size_px, threads)
        )
        for index in range(int(manifest["done"]), len(source)):
            window = first if index == 0 else source[index]
            _keep(arrays, index, window, look, window.frames * window.views if on_gpu else _CROPS_AT_ONCE)
            advance(f"window {index + 1}")
            if (index + 1) % 50 == 0 or index + 1 == len(source):
                for array in arrays.values():
                    array.flush()
                manifest["done"] = index + 1
                _write_manifest(folder, manifest)
    return LevelCache(folder, backbone, source)


def _keep(
    arrays: dict[str, np.memmap[Any, Any]],
    index: int,
    window: Window,
    look: Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]],
    at_once: int,
) -> None:
    expected = arrays["view_mask"].shape[1:]
    if window.view_mask.shape != expected:
        raise ValueError(f"window {index} has (frames, views) {window.view_mask.shape}, the first has {expected}")
    crops = window.crops.reshape(-1, *window.crops.shape[2:])
    for start in range(0, len(crops), at_once):
        for name, level in zip(_LEVELS, look(crops[start : start + at_once]), strict=True):
            flat = arrays[name][index].reshape(len(crops), *level.shape[1:])
            flat[start : start + len(level)] = level
    for name in _REST:
        arrays[name][index] = getattr(window, name)


def _open_arrays(
    folder: Path, backbone: Backbone, first: Window, windows: int, *, new: bool
) -> dict[str, np.memmap[Any, Any]]:
    shapes: dict[str, tuple[tuple[int, ...], type[np.floating[Any]]]] = {}
    for name, channels, stride in zip(_LEVELS, backbone.channels[1:], (8, 16, 32), strict=True):
        side = first.size_px // stride
        shapes[name] = ((windows, first.frames, first.views, side, side, channels), np.float16)
    for name in _REST:
        shapes[name] = ((windows, *getattr(first, name).shape), np.float32)
    mode: Any = "w+" if new else "r+"
    arrays = {}
    for name, (shape, dtype) in shapes.items():
        path = folder / f"{name}.npy"
        with told_if_full(path):
            arrays[name] = np.lib.format.open_memmap(path, mode=mode, dtype=dtype, shape=shape)
        reserve(path)
    return arrays


class _Levels(nn.Module):
    """F2 to F4 `(N, S / stride, S / stride, C)` of pictures `(N, S, S, 3)` in 0..255."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        levels: Features = self.backbone(crops.permute(0, 3, 1, 2) * (1 / 255))
        second, third, fourth = (level.permute(0, 2, 3, 1) for level in levels[1:])
        return second, third, fourth


def _trunk(backbone: Backbone, size_px: int, threads: int) -> Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]:
    """The trunk in ONNX Runtime: uint8 crops `(N, S, S, 3)` to F2, F3 and F4."""
    was_training = backbone.training
    with tempfile.TemporaryDirectory() as scratch, quiet_exporter():
        path = Path(scratch) / "trunk.onnx"
        program = torch.onnx.export(
            _Levels(backbone).eval(),
            (torch.zeros(2, size_px, size_px, 3),),
            dynamo=True,
            opset_version=20,
            input_names=["crops"],
            output_names=list(_LEVELS),
            dynamic_shapes=({0: torch.export.Dim("count", min=1, max=1024)},),
            verbose=False,
        )
        if program is None:
            raise ValueError("the trunk could not be exported to ONNX")
        program.save(path)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    backbone.train(was_training)

    def look(crops: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        levels: list[NDArray[np.float32]] = session.run(list(_LEVELS), {"crops": crops.astype(np.float32)})
        return levels

    return look


def _trunk_on(backbone: Backbone, device: torch.device) -> Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]:
    """The trunk itself on a device, as `_trunk`; a copy of it, the given one is left where it is."""
    levels = copy.deepcopy(_Levels(backbone)).eval().to(device)
    levels = levels.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def look(crops: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        with torch.inference_mode():
            return [level.cpu().numpy() for level in levels(sent(torch.from_numpy(crops), device).float())]

    return look


def _identity(backbone: Backbone, source: WindowSource) -> dict[str, Any]:
    trunk = weights_digest(backbone.state_dict())
    return {
        "trunk": hashlib.sha256(f"{type(backbone).__name__} {trunk}".encode()).hexdigest(),
        "source": source.name,
        "version": source.version,
        "windows": len(source),
    }


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / _MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path}: no readable manifest of levels ({error}); delete the folder to build it anew"
        ) from None
    if not isinstance(manifest, dict) or manifest.get("schema") != _SCHEMA:
        raise ValueError(f"{path}: is no manifest of {_SCHEMA}; delete the folder to build it anew")
    return manifest


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    write_whole(folder / _MANIFEST, json.dumps(manifest, indent=1))
