"""Plans on disk: what each is for, where it lies, and why one that does not fit is refused.

A plan is a network compiled for one GPU, one version of TensorRT, and so many hands and views. Beside it lies a JSON
that says for what it was built, and the plan's digest. Both are compared before TensorRT sees a byte of the plan.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from engine.errors import EngineError
from engine.kernels.library import kernels_card

SCHEMA: Final = "usthand.plan/2"
"""Another number wherever `plan_graph` makes another graph of the same file: older plans then do not fit."""
FOLDER_VARIABLE: Final = "USTHAND_PLANS"
"""Names the folder of plans where no option does."""

ANY: Final = "any"
"""Stands for a GPU or a driver where a plan runs on every one of its compute capability."""

_SUFFIX: Final = ".plan"
_WORDS: Final = {
    "model_sha256": "model",
    "gpu": "GPU",
    "compute_capability": "compute capability",
    "driver": "driver",
    "library": "library",
    "precision": "precision",
    "plugin": "kNN plugin",
    "kernels": "the project's kernels",
}


@dataclass(frozen=True, slots=True)
class PlanKey:
    """What a plan is for; another value of any of these wants another plan.

    Args:
        model_sha256: Digest of the exported file.
        gpu: Name of the GPU, or `any`.
        compute_capability: Like `9.0`.
        driver: Version of its driver, or `any`.
        library: Name and version of TensorRT.
        precision: `fp16`, `bf16` or `fp32`.
        plugin: How nearest points are found: `aot` by our kernel within the plan, `topk` without it.
        kernels: Digest of the project's own kernels.
        views: V.
        hands: B.
    """

    model_sha256: str
    gpu: str
    compute_capability: str
    driver: str
    library: str
    precision: str
    plugin: str
    kernels: str
    views: int
    hands: int

    @property
    def digest(self) -> str:
        """Short digest of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def file_name(self) -> str:
        """Name of the plan's file."""
        return f"{self.model_sha256[:12]}-v{self.views}h{self.hands}-{self.digest}{_SUFFIX}"

    def distance(self, other: PlanKey) -> int:
        """How many values differ."""
        return sum(getattr(self, field.name) not in (ANY, getattr(other, field.name)) for field in fields(self))

    def difference(self, other: PlanKey) -> str | None:
        """What of this plan does not fit what `other` asks for, with both values; None if it fits."""
        for field in fields(self):
            mine, wanted = getattr(self, field.name), getattr(other, field.name)
            if mine != wanted and mine != ANY:
                shown = (mine[:12], wanted[:12]) if len(str(mine)) == len(str(wanted)) == 64 else (mine, wanted)
                return f"{_WORDS.get(field.name, field.name)} {shown[0]}, here it is {shown[1]}"
        return None


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan that was read and found whole.

    Args:
        key: What it is for.
        path: Its file.
        content: The file's bytes.
    """

    key: PlanKey
    path: Path
    content: bytes


def file_digest(content: bytes) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def kernels_digest() -> str:
    """Short digest of the project's own kernels, as compiled."""
    return file_digest(json.dumps(kernels_card(), sort_keys=True).encode())[:12]


def plan_folder(chosen: Path | None = None) -> Path:
    """Where plans are kept: what was chosen, else USTHAND_PLANS, else the user's cache."""
    if chosen is not None:
        return chosen
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "usthand" / "plans"


def build_command(model: Path, key: PlanKey) -> str:
    """The command that makes a plan."""
    command = f"usthand build-plan {model} --views {key.views} --hands {key.hands}"
    return command if key.precision == "fp16" else f"{command} --precision {key.precision}"


def write_plan(folder: Path, key: PlanKey, content: bytes, about: dict[str, Any]) -> Path:
    """Write a plan whole: under another name first, then the JSON, then under its own.

    Args:
        folder: Made if it is not there, for this user alone: who can write a plan can run code.
        key: What it is for.
        content: The plan.
        about: Remarks for people: how long it took, when it was made.

    Returns:
        Its file.

    Raises:
        OSError: If it cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / key.file_name
    card = {"schema": SCHEMA, "key": asdict(key), "sha256": file_digest(content), "bytes": len(content), **about}
    write_whole(path.with_suffix(".json"), (json.dumps(card, indent=2) + "\n").encode())
    write_whole(path, content)
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there wholly or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_plan(folder: Path, key: PlanKey, model: Path) -> Plan:
    """Read the plan for a key.

    Args:
        folder: Where plans are.
        key: What it must be for.
        model: The exported file, for the remedy.

    Raises:
        EngineError: If there is none that fits, or it was damaged or changed, with what differs and the remedy.
    """
    remedy = f"run `{build_command(model, key)}`"
    found = list(_cards(folder))
    for path, built, digest in found:
        if built.difference(key) is None:
            return Plan(built, path, _checked_content(path, digest, remedy))
    raise EngineError(f"{_missing(folder, found, key, model)}; {remedy}")


def fitting_key(
    folder: Path, keys: Sequence[PlanKey], model: Path, views: int | None = None, hands: int = 1
) -> PlanKey:
    """The first of some keys for which there are plans.

    Args:
        folder: Where plans are.
        keys: What they may be for; their hands and views stand for any.
        model: The exported file, for the remedy.
        views: Of the rig; None is content with one plan, of whatever hands and views.
        hands: With `views`: there must be a plan for each of 1 to so many.

    Raises:
        EngineError: If there is none, with what differs in the nearest one and the remedy.
    """
    found = [(path, built, digest) for path, built, digest in _cards(folder) if path.is_file()]
    for key in keys:
        if views is None:
            fits = any(
                built.difference(replace(key, views=built.views, hands=built.hands)) is None for _, built, _ in found
            )
        else:
            fits = not _lacking(found, key, views, hands)
        if fits:
            return key
    if views is not None:
        lacking = min((_lacking(found, key, views, hands) for key in keys), key=len)[0]
        command = build_command(model, replace(lacking, hands=hands))
        raise EngineError(f"{_missing(folder, found, lacking, model)}; run `{command}`")
    nearest = _nearest([(path, replace(built, views=1, hands=1)) for path, built, _ in found], keys[0])
    raise EngineError(
        f"{model}: no TensorRT plan in {folder}{nearest}; run `usthand build-plan {model} --views N` with N cameras"
    )


def _lacking(found: Sequence[tuple[Path, PlanKey, str]], key: PlanKey, views: int, hands: int) -> list[PlanKey]:
    """Of what a rig of some views wants for 1 to so many hands, that for which there is no plan."""
    wanted = [replace(key, views=views, hands=count) for count in range(1, hands + 1)]
    return [one for one in wanted if all(built.difference(one) is not None for _, built, _ in found)]


def _missing(folder: Path, found: Sequence[tuple[Path, PlanKey, str]], key: PlanKey, model: Path) -> str:
    """That there is no plan for a key, with what differs in the one that comes nearest."""
    same_sizes = [(path, built) for path, built, _ in found if (built.views, built.hands) == (key.views, key.hands)]
    what = f"{model}: no TensorRT plan for {key.views} views and {key.hands} hands in {folder}"
    return f"{what}{_nearest(same_sizes, key)}"


def _nearest(found: Sequence[tuple[Path, PlanKey]], key: PlanKey) -> str:
    """What differs in the plan that comes nearest to fitting, to be put into a sentence; empty if there is no plan."""
    if not found:
        return ""
    path, built = min(found, key=lambda entry: entry[1].distance(key))
    return f" fits: {path.name} was built for {built.difference(key)}"


def _cards(folder: Path) -> Iterator[tuple[Path, PlanKey, str]]:
    """Plans in a folder, the newest first, with what they are for and their digests."""
    try:
        cards = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return
    for path in cards:
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
            if card.get("schema") == SCHEMA:
                yield path.with_suffix(_SUFFIX), PlanKey(**card["key"]), str(card["sha256"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # No card of a plan, or one that was cut short: as if it were not there.
            continue


def _checked_content(path: Path, digest: str, remedy: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EngineError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    actual = file_digest(content)
    if actual != digest:
        raise EngineError(
            f"{path}: is damaged or was changed: its sha256 is {actual[:12]}, when it was built it was {digest[:12]}; "
            f"{remedy}"
        )
    return content
