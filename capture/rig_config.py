"""`rig.yaml`: which cameras there are, where their pictures come from, and where their calibration lies."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from calibration import Rig
from calibration.files import load_calibration
from calibration.up import UPS, Up, read_up
from capture.errors import RigConfigError

# Whatever stands before an @ may be a password.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://(?:.*@)?([^/?#]*)", re.IGNORECASE)

SOURCE_TYPES = ("file", "images", "opencv", "synthetic", "recording")

_NOT_YET = {
    "rtsp": "record the stream to a file and use {type: file}, or read it with {type: opencv, device: 'rtsp://...'}",
    "genicam": "use the camera through its V4L2 driver with {type: opencv, device: 0}",
    "remote": "connect the camera to this host and use {type: opencv, device: 0}",
}

_MAX_CONFIG_BYTES = 1 << 20


def _resolved(path: Path, info: ValidationInfo) -> Path:
    """Read a relative path as relative to the rig file, where there is one."""
    folder = (info.context or {}).get("folder")
    return path if folder is None else folder / path


SourcePath = Annotated[Path, AfterValidator(_resolved)]


class _Section(BaseModel):
    """A part of the configuration that refuses keys that it does not know, and says which ones it does."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, coerce_numbers_to_str=True)

    section: ClassVar[str] = "section"

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        for key in values:
            if key not in cls.model_fields:
                close = difflib.get_close_matches(str(key), cls.model_fields, n=1)
                hint = f" (did you mean {close[0]!r}?)" if close else ""
                raise PydanticCustomError(
                    "unknown_key",
                    "unknown key '{key}'{hint}; allowed in {section}: {allowed}",
                    {"key": str(key), "hint": hint, "section": cls.section, "allowed": ", ".join(cls.model_fields)},
                )
        return values


class TimestampsRef(_Section):
    """Device timestamps of a recorded file.

    Args:
        path: CSV with the columns `cam_id` and `frame_time` (seconds, one clock for all cameras).
        camera: The `cam_id` whose rows, in their order, are the frames of this file, in theirs.
    """

    section: ClassVar[str] = "timestamps"

    path: SourcePath
    camera: str


class FileSource(_Section):
    """A video file, replayed at its own pace.

    Where a machine is too slow for that, live, all replayed cameras of the rig leave out the same frames.

    Args:
        path: The video.
        loop: Start again at the end (live only).
        timestamps: Exposure times to use in place of the file's own.
        fps: Frames a second to use in place of the file's own times.
    """

    section: ClassVar[str] = "a file source"

    type: Literal["file"] = "file"
    path: SourcePath
    loop: bool = False
    timestamps: TimestampsRef | None = None
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None

    @model_validator(mode="after")
    def _one_clock(self) -> FileSource:
        if self.timestamps is not None and self.fps is not None:
            raise PydanticCustomError("two_clocks", "timestamps and fps both say when frames were taken; remove one")
        return self


class ImagesSource(_Section):
    """A folder of pictures, replayed in the natural order of their names.

    Args:
        path: The folder.
        fps: Frames a second.
        loop: Start again at the end (live only).
    """

    section: ClassVar[str] = "an images source"

    type: Literal["images"] = "images"
    path: SourcePath
    fps: Annotated[float, Field(gt=0, le=1000)] = 30.0
    loop: bool = False


class OpenCVSource(_Section):
    """A camera that OpenCV opens: V4L2 on Linux.

    Args:
        device: Number of the device, its path, or whatever else `cv2.VideoCapture` takes.
        width: Asked-for image width in pixels; None asks for the calibration's.
        height: Asked-for image height in pixels; None asks for the calibration's.
        fps: Asked-for frames a second; None leaves the camera's.
        fourcc: Asked-for pixel format, for example MJPG; None leaves the camera's.
    """

    section: ClassVar[str] = "an opencv source"
    # A number must stay one: device 0 is not the file "0".
    model_config = ConfigDict(coerce_numbers_to_str=False)

    type: Literal["opencv"] = "opencv"
    device: Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)]
    width: Annotated[int, Field(gt=0)] | None = None
    height: Annotated[int, Field(gt=0)] | None = None
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    fourcc: Annotated[str, Field(min_length=4, max_length=4)] | None = None

    @property
    def shown(self) -> int | str:
        """The device as anybody may see it: of an address, whose rest may hold a password, the host only."""
        if isinstance(self.device, int) or "://" not in self.device:
            return self.device
        address = _ADDRESS.match(self.device)
        return "..." if address is None else f"{address[1]}://{address[2]}/..."


class SyntheticSource(_Section):
    """A camera that films the scene which the session is given.

    Args:
        frames: Length of the sequence; None never ends (and cannot be read losslessly to its end).
        loop: Start again at the end (live only): each picture is rendered once and then kept, up to 256 MB a camera, so
            that later rounds cost no more than a camera's own pictures would.
    """

    section: ClassVar[str] = "a synthetic source"

    type: Literal["synthetic"] = "synthetic"
    frames: Annotated[int, Field(gt=0)] | None = None
    loop: bool = False

    @model_validator(mode="after")
    def _round_has_a_length(self) -> SyntheticSource:
        if self.loop and self.frames is None:
            raise PydanticCustomError("endless_loop", "loop begins again after so many frames: give frames, or no loop")
        return self


class RecordingSource(_Section):
    """One camera of a recording, replayed at its own pace.

    Args:
        path: The recording's folder, or the MCAP file in it.
        camera: Which of the recording's cameras; None is the one with this camera's id.
        loop: Start again at the end (live only).
        speed: Seconds of the recording a second (live only); `max_skew_ms` is in time of the replay.
    """

    section: ClassVar[str] = "a recording source"

    type: Literal["recording"] = "recording"
    path: SourcePath
    camera: str | None = None
    loop: bool = False
    speed: Annotated[float, Field(ge=0.01, le=100)] = 1.0


def _known_type(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    kind = value.get("type")
    known = ", ".join(SOURCE_TYPES)
    if kind is None and (close := difflib.get_close_matches("type", map(str, value), n=1)):
        raise PydanticCustomError(
            "unknown_key",
            "unknown key '{key}' (did you mean 'type'?); a source's type is one of {known}",
            {"key": close[0], "known": known},
        )
    if kind is None:
        raise PydanticCustomError("no_type", "the source has no type; use one of {known}", {"known": known})
    if kind in _NOT_YET:
        raise PydanticCustomError(
            "type_not_yet",
            "source type '{kind}' is not in this version yet; {instead} (types: {known})",
            {"kind": kind, "instead": _NOT_YET[kind], "known": known},
        )
    if kind not in SOURCE_TYPES:
        raise PydanticCustomError(
            "unknown_type", "unknown source type '{kind}'; use one of {known}", {"kind": str(kind), "known": known}
        )
    return value


Source = Annotated[
    Annotated[
        FileSource | ImagesSource | OpenCVSource | SyntheticSource | RecordingSource, Field(discriminator="type")
    ],
    BeforeValidator(_known_type),
]


class CameraConfig(_Section):
    """One camera of the rig.

    Args:
        id: Its name, which the calibration uses too.
        source: Where its pictures come from.
        time_offset_ms: Added to the timestamps of its pictures, milliseconds: below 0 where they were taken earlier
            than their stamps say. `usthand calibrate` finds it, against the other cameras.
    """

    section: ClassVar[str] = "a camera"

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    source: Source
    time_offset_ms: Annotated[float, Field(ge=-10_000, le=10_000)] = 0.0


def _parsed_size(value: Any) -> Any:
    if isinstance(value, str):
        width, cross, height = value.partition("x")
        if cross and width.strip().isdecimal() and height.strip().isdecimal():
            return int(width), int(height)
        raise PydanticCustomError("size", "'{value}' is not a size; write WIDTHxHEIGHT in pixels", {"value": value})
    return value


class CalibrationRef(_Section):
    """Where the rig's calibration lies.

    Args:
        path: File, or folder where the format is one.
        format: The file's format, as `calibration.files.load_calibration` names it.
        units: The file's unit of length, where it does not state it.
        size: Image width and height in pixels, where the file does not state them; `720x720` in the file.
    """

    section: ClassVar[str] = "calibration"
    # A number in `units` is metres per unit, and must stay a number.
    model_config = ConfigDict(coerce_numbers_to_str=False)

    path: SourcePath
    format: str = "usthand"
    units: float | str | None = None
    size: Annotated[
        tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] | None, BeforeValidator(_parsed_size)
    ] = None


def _axis(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if (axis := read_up(value)) is None:
        raise PydanticCustomError(
            "axis", "'{value}' is no axis; use one of {ups}", {"value": value, "ups": ", ".join(UPS)}
        )
    return axis


def _as_reference(value: Any) -> Any:
    return {"path": value} if isinstance(value, str | Path) else value


class RigConfig(_Section):
    """What `rig.yaml` says.

    Args:
        name: A name for people.
        max_skew_ms: Frames further apart than this never go into one set, milliseconds.
        ring_slots: Frames of shared memory a camera.
        up: Which axis of the calibration's world points up, for clients that do not say; None where nobody knows.
        cameras: In the order of every V axis.
        calibration: Where the calibration lies; a plain path is a `calibration.json`. None where the caller holds
            the rig already.
    """

    section: ClassVar[str] = "a rig file"

    name: str = ""
    max_skew_ms: Annotated[float, Field(gt=0, le=10_000)] = 8.0
    ring_slots: Annotated[int, Field(ge=4, le=256)] = 8
    up: Annotated[Up | None, BeforeValidator(_axis)] = None
    cameras: Annotated[tuple[CameraConfig, ...], Field(min_length=1)]
    calibration: Annotated[CalibrationRef | None, BeforeValidator(_as_reference)] = None

    @model_validator(mode="after")
    def _ids_differ(self) -> RigConfig:
        if doubled := sorted({i for i in self.camera_ids if self.camera_ids.count(i) > 1}):
            raise PydanticCustomError(
                "doubled_id",
                "camera id {ids} is used more than once; give each camera its own",
                {"ids": ", ".join(map(repr, doubled))},
            )
        return self

    @model_validator(mode="after")
    def _rendered_rounds_are_alike(self) -> RigConfig:
        sources = [camera.source for camera in self.cameras if isinstance(camera.source, SyntheticSource)]
        rounds = {source.frames if source.loop else None for source in sources}
        if len(rounds) > 1:
            raise PydanticCustomError(
                "unlike_rounds",
                "synthetic cameras film one scene but begin again at different times ({rounds}); give all of them "
                "loop and the same frames",
                {"rounds": ", ".join("never" if r is None else f"after {r} frames" for r in sorted(rounds, key=str))},
            )
        return self

    @property
    def most_waiting(self) -> int:
        """Frames of one camera that wait at most for the other cameras', live."""
        return max(2, self.ring_slots // 2)

    @property
    def offsets_apart_ms(self) -> float:
        """How much earlier than another's one camera's picture of an instant arrives, by their time offsets."""
        offsets = [camera.time_offset_ms for camera in self.cameras]
        return max(offsets) - min(offsets)

    @property
    def camera_ids(self) -> tuple[str, ...]:
        """Ids in the order of the V axis."""
        return tuple(camera.id for camera in self.cameras)


def load_rig_config(path: Path) -> RigConfig:
    """Read a rig file; relative paths in it are relative to it.

    Args:
        path: A `rig.yaml`.

    Raises:
        RigConfigError: If it cannot be read or used: one line that names the file, the key and the remedy.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise RigConfigError(f"rig file {path} cannot be read: {error.strerror}; check the path") from error
    if len(data) > _MAX_CONFIG_BYTES:
        raise RigConfigError(f"rig file {path} is larger than {_MAX_CONFIG_BYTES} bytes; is it the rig file?")
    try:
        content = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RigConfigError(f"rig file {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise RigConfigError(f"rig file {path} holds no keys; it needs at least cameras and calibration")
    try:
        return RigConfig.model_validate(content, context={"folder": path.absolute().parent})
    except ValidationError as error:
        details = error.errors(include_url=False)
        within = {detail["loc"][:depth] for detail in details for depth in range(len(detail["loc"]))}
        # To pydantic a list whose items are wrong is too short as well.
        problems = "; ".join(_line(detail) for detail in details if detail["loc"] not in within)
        raise RigConfigError(f"rig file {path}: {problems}") from error


def _line(detail: ErrorDetails) -> str:
    """Say in one line where a problem is and what it is, without pydantic's own terms."""
    where = ""
    for part in detail["loc"]:
        if isinstance(part, int):
            where += f"[{part}]"
        elif part not in SOURCE_TYPES and not part.startswith(("function-", "constrained-")):
            where += f".{part}" if where else part
    if detail["type"] == "missing":
        return f"{where} is missing"
    message = detail["msg"]
    if detail["type"] in ("string_pattern_mismatch",):
        message = "use 1 to 64 letters, digits, '_', '.' or '-'"
    value = detail["input"]
    said = f" (it is {value!r})" if isinstance(value, str | int | float | bool | None) else ""
    return f"{where}: {message}{said}" if where else f"{message}{said}"


def load_rig(config: RigConfig) -> Rig:
    """Read the calibration of a rig's cameras.

    Args:
        config: The rig; its cameras must all be in the calibration, which may hold more.

    Returns:
        The calibrated cameras, in the order of `config.cameras`.

    Raises:
        RigConfigError: If the rig names no calibration, or the calibration lacks a camera.
        CalibrationError: If the calibration itself cannot be read or used.
    """
    reference = config.calibration
    if reference is None:
        raise RigConfigError(f"rig {config.name!r} names no calibration; add calibration: FILE to the rig file")
    rig = load_calibration(reference.path, format=reference.format, units=reference.units, size=reference.size)
    if missing := [i for i in config.camera_ids if i not in rig.camera_ids]:
        raise RigConfigError(
            f"calibration {reference.path} lacks camera {', '.join(missing)}: the rig names "
            f"{', '.join(config.camera_ids)}, the calibration has {', '.join(rig.camera_ids)}; use the same ids in "
            "both, or calibrate the missing cameras"
        )
    return Rig(rig.subset(config.camera_ids).cameras, config.name or rig.name)


__all__ = [
    "SOURCE_TYPES",
    "CalibrationRef",
    "CameraConfig",
    "FileSource",
    "ImagesSource",
    "OpenCVSource",
    "RecordingSource",
    "RigConfig",
    "Source",
    "SyntheticSource",
    "TimestampsRef",
    "load_rig",
    "load_rig_config",
]
