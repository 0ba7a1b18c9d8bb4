"""Changing the running model: open it beside the stream, try it, take it up between two frame sets."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from errno import ENOTDIR
from pathlib import Path
from typing import Final

from capture.frames import FrameSet
from engine.factory import MODELS, SHIPPED
from engine.types import EngineCard, HandEngine
from server.leaving import MODEL_THREAD
from server.pipeline import Pipeline

_log = logging.getLogger("usthand.models")

SWAP_TIMEOUT_S: Final = 5.0
_EXPORTED: Final = "*.onnx"


class UnknownModelError(LookupError):
    """There is no such model to choose."""


class ModelRefusedError(RuntimeError):
    """The model cannot run here; the old one runs on."""


class ModelSwapBusyError(RuntimeError):
    """Another change of models is under way."""


class ModelSwapTimeoutError(TimeoutError):
    """The engine did not come to the end of its frame set in time; the old model runs on."""


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """Which models a service may run.

    Args:
        start: The one to begin with, as `open` takes it: a built-in name or a file.
        open: Opens an engine, as `engine.factory.open_engine` does.
        folder: Its `.onnx` files may be chosen; None offers none.
    """

    start: str
    open: Callable[[str], HandEngine]
    folder: Path | None = None

    def __post_init__(self) -> None:
        if self.folder is not None and not self.folder.is_dir():
            raise NotADirectoryError(ENOTDIR, "is no folder; give one with exported networks", str(self.folder))

    def open_start(self) -> HandEngine:
        """Open the model to begin with."""
        return self.open(self.start)

    def offered(self) -> dict[str, str]:
        """What may be chosen now: by name, what `open` takes. A file's name is that inside its folder."""
        built_in = {name: name for name in (*MODELS, *SHIPPED)}
        start = {} if self.start in built_in else {Path(self.start).name: self.start}
        found = [] if self.folder is None else sorted(path for path in self.folder.glob(_EXPORTED) if path.is_file())
        return {**built_in, **start, **{path.name: str(path) for path in found}}


class Models:
    """The models of a running service. One change at a time.

    Args:
        pipeline: What runs them.
        place: Which may be chosen; None offers none.
        swap_timeout_s: How long a model that is open may wait for the engine thread.
    """

    def __init__(
        self, pipeline: Pipeline, place: ModelPlace | None = None, *, swap_timeout_s: float = SWAP_TIMEOUT_S
    ) -> None:
        self._pipeline = pipeline
        self._place = place
        self._swap_timeout_s = swap_timeout_s
        self._changing = threading.Lock()

    def names(self) -> list[str]:
        """What may be chosen now."""
        return [] if self._place is None else list(self._place.offered())

    def choose(self, name: str) -> Future[EngineCard]:
        """Change the model while the stream goes on.

        Returns:
            The card of the model that runs then. It raises `ModelRefusedError` with the reason where the model cannot
            run, and `ModelSwapTimeoutError` where it was not taken up.

        Raises:
            UnknownModelError: If there is no such model.
            ModelSwapBusyError: If another change is under way.
        """
        offered = {} if self._place is None else self._place.offered()
        # Looked up, never joined to a path: what a client says cannot lead out of the folder.
        if self._place is None or name not in offered:
            raise UnknownModelError(
                f"model {name!r} is not offered here; there are: {', '.join(offered) or 'none'}; files are offered "
                "from the folder of --models"
            )
        if not self._changing.acquire(blocking=False):
            raise ModelSwapBusyError("another model is being opened; try again when it runs or was refused")
        done: Future[EngineCard] = Future()
        # Whoever stops waiting does not stop the change.
        done.set_running_or_notify_cancel()
        work = (self._place.open, name, offered[name], done)
        # A daemon: the service's end does not wait for a model that takes long to open.
        threading.Thread(target=self._change, args=work, name=MODEL_THREAD, daemon=True).start()
        return done

    def _change(self, opened: Callable[[str], HandEngine], name: str, source: str, done: Future[EngineCard]) -> None:
        try:
            card = self._swap(opened, name, source)
        except Exception as error:  # noqa: BLE001 - whoever waits for it gets it
            self._changing.release()
            done.set_exception(error)
        else:
            self._changing.release()
            done.set_result(card)

    def _swap(self, opened: Callable[[str], HandEngine], name: str, source: str) -> EngineCard:
        try:
            engine = opened(source)
        except Exception as error:
            raise ModelRefusedError(f"model {name!r} cannot be opened: {error}") from error
        try:
            self._try(engine, name)
            card = engine.card
            replaced = self._taken_up(engine)
        except BaseException:
            engine.close()
            raise
        _log.info("model %s runs in place of %s", card.model_id, replaced.card.model_id)
        replaced.close()
        return card

    def _try(self, engine: HandEngine, name: str) -> None:
        """Answer the newest frame set, twice: what fails on this rig is refused, and what is slow at first is over."""
        with self._pipeline.borrow() as solved:
            if solved is None:
                return
            frames = tuple(
                None if frame is None else replace(frame, image_bgr=frame.image_bgr.copy())
                for frame in solved.frame_set.frames
            )
            rig, frame_set = solved.rig, solved.frame_set
        try:
            for _ in range(2):
                engine.process(FrameSet(frame_set.id, frames, frame_set.skew_ms), rig)
            engine.reset()
        except Exception as error:
            raise ModelRefusedError(f"model {name!r} failed on the newest frame set: {error}") from error

    def _taken_up(self, engine: HandEngine) -> HandEngine:
        done = self._pipeline.request_engine(engine)
        try:
            return done.result(self._swap_timeout_s)
        except TimeoutError:
            # Cancelled, so that it cannot be taken up after it was said not to be; unless it just was.
            if not done.cancel():
                return done.result()
        except CancelledError:
            pass
        raise ModelSwapTimeoutError(
            f"the engine took up no model within {self._swap_timeout_s:g} s; see /readyz for its state"
        )
