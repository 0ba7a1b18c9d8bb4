"""`usthand record`: a rig's frame sets and poses into a recording, without a server."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from capture.recording import PictureFormat, Pictures, RecordingError
from capture.rig_config import OpenCVSource, RigConfig
from server.commands.options import BackendOption, HandModelOption, ModelOption, RigOption, SmoothingOption

if TYPE_CHECKING:
    from server.recording.status import RecordingStatus

_MIB = 1 << 20


def record(
    rig: RigOption,
    out: Annotated[Path, typer.Option("--out", help="Where to write; a folder that is empty or not there yet.")],
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.01, help="How much; until Ctrl-C if left out.")
    ] = None,
    poses: Annotated[bool, typer.Option("--poses/--no-poses", help="Track the hands, and record them too.")] = True,
    pictures: Annotated[
        PictureFormat, typer.Option("--pictures", help="jpeg is small; png and raw give back the same pixels.")
    ] = "jpeg",
    quality: Annotated[int, typer.Option("--quality", min=1, max=100, help="Of JPEG.")] = 95,
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Record every frame of footage, at whatever speed; not for cameras.")
    ] = False,
    model: ModelOption = "detector",
    backend: BackendOption = "auto",
    hand_model: HandModelOption = None,
    smoothing: SmoothingOption = False,
) -> None:
    """Record a rig into a folder, until Ctrl-C: pictures, frame sets, poses and calibration, and a rig file.

    Footage ends it too, unless it begins again (`loop: true`): --lossless reads that once.

    The folder is a rig like any other: `usthand replay DIR`, `usthand run --rig DIR/rig.yaml`.

    For example:

        usthand record --rig rig.yaml --out take1

        usthand record --rig rig.yaml --out take2 --seconds 30 --no-poses

        usthand record --rig footage.yaml --out take3 --lossless --pictures raw
    """
    # Imported here so that `usthand --help` need not load the engine.
    from engine.factory import open_engine
    from server.commands.sources import open_rig, open_session
    from server.recording.opening import RecordingOptions, discard, open_recorder
    from server.recording.sessions import record_live, record_lossless

    config, calibrated = open_rig(rig)
    _check(config, out, lossless=lossless)
    session = open_session(config, calibrated, "lossless" if lossless else "live")
    opened = partial(open_engine, backend=backend, hand_model=hand_model, smoothing=smoothing, views=len(calibrated))
    engine = opened(model) if poses else None
    card = None if engine is None else engine.card
    try:
        out.mkdir(parents=True, exist_ok=True)
        recorder = open_recorder(out, config, calibrated, card, RecordingOptions(Pictures(pictures, quality)))
    except BaseException:
        if engine is not None:
            engine.close()
        raise
    drive = record_lossless if lossless else record_live
    try:
        with _stopped_by_signals() as stopping, _shown() as watch:
            drive(session, recorder, stopping, rig=calibrated, engine=engine, seconds=seconds, watch=watch)
    finally:
        status = recorder.stop()
        if not status.frame_sets:
            discard(out)
    if status.state != "finished":
        raise RecordingError(f"the recording ended early: {status.message} ({out}: {status})")
    if not status.frame_sets:
        raise RecordingError("no frame set came from the rig; check the sources, and that max_skew_ms fits")
    typer.echo(f"{out}: {status}", err=True)


def _check(config: RigConfig, out: Path, *, lossless: bool) -> None:
    """Refuse what would spoil something or never end well."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RecordingError(f"{out} is there already and not an empty folder; give another --out, or remove it first")
    live = [camera.id for camera in config.cameras if isinstance(camera.source, OpenCVSource)]
    if lossless and live:
        raise RecordingError(f"camera {', '.join(live)} is live and waits for nobody; leave out --lossless")


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """Let Ctrl-C and SIGTERM end it cleanly; the second one ends it at once."""
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's signature
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _shown() -> Iterator[Callable[[RecordingStatus], None]]:
    """Show how it goes, on a terminal."""
    from server.progress import shown_progress

    with shown_progress(None) as advance:
        shown = 0

        def watch(status: RecordingStatus) -> None:
            nonlocal shown
            dropped = sum(status.drops.values())
            note = f"{status.seconds:.1f} s, {status.size_bytes / _MIB:.0f} MiB, {dropped} dropped"
            for _ in range(status.frame_sets - shown):
                advance(note)
            shown = status.frame_sets

        yield watch
