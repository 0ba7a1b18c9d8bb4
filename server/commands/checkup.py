"""What `usthand doctor` looks at: each check looks at one thing and says what to do about it."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calibration import CalibrationError, Rig
from capture.errors import RigConfigError
from capture.rig_config import CameraConfig, OpenCVSource, RigConfig, load_rig, load_rig_config
from capture.ring import RingLayout
from capture.shared_memory import SHARED_MEMORY_FOLDER, free_shared_memory_bytes
from engine.backends import has_nvidia_driver, torch_gpu_reason
from engine.backends.tensorrt_api import tensorrt_reason
from server.commands.source_check import check_source
from server.network import AddressError, listen

State = Literal["OK", "WARN", "FAIL"]

# A rig of the size that the demo has, for machines that are looked at before there is a rig file.
_USUAL_RIG = [(1280, 720)] * 4
_USUAL_SLOTS = 8

_MIB = 1 << 20
_PYTHONS = ((3, 11), (3, 13))
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(?:>=\s*([0-9.]+))?")
# Packages whose native parts fail on import where the system lacks something.
_NATIVE_MODULES = ("cv2", "numpy", "onnxruntime", "pydantic_core")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Args:
        state: OK, WARN (works, but not as well as it could) or FAIL.
        subject: What was looked at.
        detail: What was found.
        remedy: What to do; empty if there is nothing to do.
    """

    state: State
    subject: str
    detail: str
    remedy: str = ""


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """Look at the interpreter's version."""
    detail = f"{version[0]}.{version[1]} ({sys.executable})"
    if _PYTHONS[0] <= version <= _PYTHONS[1]:
        return Finding("OK", "Python", detail)
    return Finding("FAIL", "Python", detail, "install Python 3.11, 3.12 or 3.13 and make a new environment with it")


def check_packages(requirements: Sequence[str] | None = None) -> Iterator[Finding]:
    """Look at what the default install needs: that it is there, new enough, and loads."""
    if requirements is None:
        requirements = importlib.metadata.requires("usthand") or ()
    needed = [text for text in requirements if "extra ==" not in text]
    problems = [problem for text in needed if (problem := _requirement_problem(text))]
    if problems:
        yield Finding("FAIL", "packages", "; ".join(problems), "pip install --upgrade usthand")
    else:
        yield Finding("OK", "packages", f"{len(needed)} needed, all there")
    for name in _NATIVE_MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            text = " ".join(str(error).split())
            yield Finding(
                "FAIL",
                name,
                f"does not load: {text}",
                f"install the system library that is named, then pip install --force-reinstall {name}",
            )


def _requirement_problem(text: str) -> str:
    match = _REQUIREMENT.match(text)
    if match is None:
        return ""
    name, least = match.groups()
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is missing"
    if least is not None and _numbers(found) < _numbers(least):
        return f"{name} is {found}, {least} or newer is needed"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_cpu(count: int) -> Finding:
    """Look at how many CPUs there are: grabbers, engine and service share them."""
    detail = f"{count} usable"
    if count >= 2:
        return Finding("OK", "CPU", detail)
    return Finding("WARN", "CPU", detail, "give the machine or container 2 or more: poses will come late")


def check_providers(providers: Sequence[str] | None = None) -> Finding:
    """Look at what ONNX Runtime can execute with."""
    if providers is None:
        try:
            import onnxruntime
        except ImportError:
            providers = ()
        else:
            providers = onnxruntime.get_available_providers()
    if "CPUExecutionProvider" in providers:
        return Finding("OK", "ONNX Runtime", ", ".join(name.removesuffix("ExecutionProvider") for name in providers))
    return Finding("FAIL", "ONNX Runtime", "no CPU provider", "pip install --force-reinstall onnxruntime")


def gpu_reasons() -> dict[str, str | None]:
    """Why each of what can run networks on a GPU does not do so here; None if it does."""
    return {"TensorRT": tensorrt_reason(), "PyTorch": torch_gpu_reason()}


def check_gpu(
    devices: Path = Path("/dev"), *, driver: bool | None = None, reasons: Mapping[str, str | None] | None = None
) -> Finding:
    """Look for an NVIDIA GPU, which there need not be, and at what would run networks on it.

    Args:
        devices: Where the system names its GPUs.
        driver: Whether the CUDA driver's library is there; None looks.
        reasons: As `gpu_reasons`; None asks it, which imports what is installed.
    """
    driver = has_nvidia_driver() if driver is None else driver
    found = ", ".join(sorted(path.name for path in devices.glob("nvidia[0-9]*"))) or "an NVIDIA driver"
    if not driver:
        if found == "an NVIDIA driver":
            return Finding("OK", "GPU", "none; the CPU is used")
        detail = f"{found}, but the CUDA driver's library is not found; the CPU is used"
        return Finding("WARN", "GPU", detail, "install NVIDIA's driver; for a container, its container toolkit")
    reasons = gpu_reasons() if reasons is None else reasons
    # TensorRT is taken where there is a plan, PyTorch elsewhere.
    words = [
        f"{name}: {'can run networks here' if reason is None else f'no, since {reason}'}"
        for name, reason in reasons.items()
    ]
    detail = "; ".join((found, *words))
    if None in reasons.values():
        return Finding("OK", "GPU", detail)
    return Finding("WARN", "GPU", f"{detail}; the CPU is used", "mend one of them; `auto` then takes it (docs/gpu.md)")


def check_shared_memory(need_bytes: int, free_bytes: int | None, *, of_rig: bool) -> Finding:
    """Look at whether the frame rings fit into shared memory."""
    need = f"{need_bytes / _MIB:.0f} MiB needed by " + ("the rig" if of_rig else "four cameras of 1280x720")
    if free_bytes is None:
        return Finding("OK", "shared memory", f"not bounded by this system, {need}")
    detail = f"{free_bytes / _MIB:.0f} MiB free in {SHARED_MEMORY_FOLDER}, {need}"
    if not os.access(SHARED_MEMORY_FOLDER, os.W_OK | os.X_OK):
        detail = f"this user may not write to {SHARED_MEMORY_FOLDER}"
        return Finding(
            "FAIL", "shared memory", detail, f"mount a tmpfs there: mount -t tmpfs tmpfs {SHARED_MEMORY_FOLDER}"
        )
    if free_bytes >= need_bytes:
        return Finding("OK", "shared memory", detail)
    wanted = int(need_bytes * 1.25 / _MIB) + 16
    remedy = (
        f"lower ring_slots, start the container with --shm-size={wanted}m, "
        f"or mount -o remount,size={wanted}m {SHARED_MEMORY_FOLDER}"
    )
    return Finding("FAIL" if of_rig else "WARN", "shared memory", detail, remedy)


def check_port(port: int) -> Finding:
    """Look at whether the port is free, by taking it for a moment."""
    try:
        listen("127.0.0.1", port).close()
    except AddressError as error:
        detail, _, remedy = str(error).partition("; ")
        return Finding("FAIL", "port", detail, remedy)
    return Finding("OK", "port", f"{port} is free")


def check_video_devices(*, needed: bool, devices: Path = Path("/dev")) -> Finding:
    """Look for V4L2 devices and at whether they may be opened."""
    found = sorted(devices.glob("video[0-9]*"), key=lambda path: (len(path.name), path.name))
    if not found:
        if not needed:
            return Finding("OK", "V4L2 cameras", "none; only sources of type opencv need one")
        return Finding(
            "FAIL", "V4L2 cameras", "none", "plug a camera in, or pass it on: docker run --device /dev/video0"
        )
    names = ", ".join(path.name for path in found)
    if closed := [path.name for path in found if not os.access(path, os.R_OK | os.W_OK)]:
        detail = f"{names}; this user may not open {', '.join(closed)}"
        return Finding("WARN", "V4L2 cameras", detail, "add the user to the group video and log in again")
    return Finding("OK", "V4L2 cameras", names)


def check_rig(path: Path) -> Iterator[Finding]:
    """Look at a rig file, its calibration and its sources."""
    try:
        config = load_rig_config(path)
    except RigConfigError as error:
        yield Finding("FAIL", "rig file", str(error), "correct it; `usthand rig check` looks at it alone")
        return
    yield Finding("OK", "rig file", f"{len(config.cameras)} cameras")
    rig = None
    try:
        rig = load_rig(config)
    except CalibrationError as error:
        for line in error.lines:
            yield Finding("FAIL", "calibration", line, "correct the file, or calibrate again")
    except RigConfigError as error:
        yield Finding("FAIL", "calibration", str(error))
    else:
        yield Finding("OK", "calibration", f"{rig.id}, {len(rig)} cameras")
    for entry in config.cameras:
        yield _source_finding(entry, rig)
    yield check_shared_memory(_ring_bytes(config, rig), free_shared_memory_bytes(), of_rig=True)


def _source_finding(entry: CameraConfig, rig: Rig | None) -> Finding:
    report = check_source(entry, None if rig is None else rig.camera(entry.id))
    if report.problem:
        return Finding("FAIL", f"camera {entry.id}", report.problem)
    return Finding("OK", f"camera {entry.id}", ", ".join((report.source, *report.notes)))


def _ring_bytes(config: RigConfig, rig: Rig | None) -> int:
    sizes = _USUAL_RIG[:1] * len(config.cameras) if rig is None else [(camera.width, camera.height) for camera in rig]
    return sum(RingLayout(width, height, config.ring_slots).size for width, height in sizes)


def examine(rig: Path | None, port: int) -> Iterator[Finding]:
    """Run every check.

    Args:
        rig: A rig file to look at too.
        port: The port that the service is to listen on.
    """
    yield check_python()
    yield from check_packages()
    yield check_cpu(usable_cpus())
    yield check_providers()
    yield check_gpu()
    yield check_port(port)
    if rig is None:
        need = sum(RingLayout(width, height, _USUAL_SLOTS).size for width, height in _USUAL_RIG)
        yield check_shared_memory(need, free_shared_memory_bytes(), of_rig=False)
        yield check_video_devices(needed=False)
        return
    findings = list(check_rig(rig))
    yield from findings
    yield check_video_devices(needed=_uses_v4l2(rig))


def _uses_v4l2(path: Path) -> bool:
    try:
        config = load_rig_config(path)
    except RigConfigError:
        return False
    sources = [entry.source for entry in config.cameras]
    return any(isinstance(source, OpenCVSource) and _is_v4l2(source.device) for source in sources)


def _is_v4l2(device: int | str) -> bool:
    return isinstance(device, int) or device.startswith("/dev/video")
