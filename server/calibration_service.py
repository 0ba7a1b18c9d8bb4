"""Changing the running calibration: judge, swap between two frame sets, remember."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any, Final

from calibration import Rig
from calibration.files import parse_calibration
from server.calibration_history import History, Version
from server.calibration_judge import Judgement, judge
from server.pipeline import Pipeline

SWAP_TIMEOUT_S: Final = 5.0


class SwapTimeoutError(TimeoutError):
    """The engine did not come to the end of its frame set in time; the old calibration runs on."""


@dataclass(frozen=True, eq=False, slots=True)
class Upload:
    """An accepted upload.

    Args:
        judgement: What it changes.
        version: Its number in the history; None for a dry run.
    """

    judgement: Judgement
    version: Version | None


class CalibrationService:
    """The running calibration. Changes come one after the other.

    Args:
        pipeline: What uses it.
        swap_timeout_s: How long a swap may wait for the engine.
    """

    def __init__(self, pipeline: Pipeline, *, swap_timeout_s: float = SWAP_TIMEOUT_S) -> None:
        self.history = History(pipeline.rig)
        self._pipeline = pipeline
        self._swap_timeout_s = swap_timeout_s
        self._changing = asyncio.Lock()

    async def upload(
        self,
        data: bytes,
        *,
        format: str,
        units: str | None,
        size: tuple[int, int] | None,
        dry_run: bool,
        ignore_unknown: bool,
        force: bool,
    ) -> Upload:
        """Parse, judge and, unless it is a dry run, swap in a calibration.

        Args:
            data: The file.
            format: Its format, as `calibration.files.parse_calibration` names it.
            units: Its unit of length, where it does not state it.
            size: Image width and height in pixels, where it does not state them.
            dry_run: Judge only.
            ignore_unknown: Leave out cameras that do not run.
            force: Use it although it looks like a mistake.

        Raises:
            CalibrationError: If it is refused, with reasons per camera; the running one stays.
            SwapTimeoutError: If the engine did not take it up; the running one stays.
        """
        uploaded = await asyncio.to_thread(parse_calibration, data, format, units, size=size)
        async with self._changing:
            # Of many cameras it takes a while, and the stream shares the event loop.
            judgement = await asyncio.to_thread(
                judge,
                uploaded,
                self._pipeline.rig,
                self._picture_sizes(),
                ignore_unknown=ignore_unknown,
                force=force,
            )
            if dry_run:
                return Upload(judgement, None)
            await self._swap(judgement.rig)
            return Upload(judgement, self.history.add(judgement.rig, "upload"))

    async def take(self, rig: Rig, source: str) -> Upload:
        """Swap in a calibration that the service itself solved.

        Args:
            rig: The calibration. What an upload would be suspected of is not: its unit and direction are known.
            source: For the history.

        Raises:
            CalibrationError: If it does not fit the running cameras; the running one stays.
            SwapTimeoutError: If the engine did not take it up; the running one stays.
        """
        async with self._changing:
            judgement = await asyncio.to_thread(judge, rig, self._pipeline.rig, self._picture_sizes(), force=True)
            await self._swap(judgement.rig)
            return Upload(judgement, self.history.add(judgement.rig, source))

    async def rollback(self, number: int | None) -> Version:
        """Go back to a version, or to the one before the running one.

        Raises:
            KeyError: If there is no such version.
            SwapTimeoutError: If the engine did not take it up; the running one stays.
        """
        async with self._changing:
            version = self.history.rollback_target(number)
            await self._swap(version.rig)
            self.history.go_back(version)
            return version

    async def _swap(self, rig: Rig) -> None:
        done = self._pipeline.request_rig(rig)
        try:
            # Cancelled when the time is over, so that it cannot be taken up after it was said not to be.
            await asyncio.wait_for(asyncio.wrap_future(done), self._swap_timeout_s)
        except TimeoutError:
            if not done.cancel():
                # It was taken up at that very moment: said to be refused, it would run all the same.
                return
            raise SwapTimeoutError(
                f"the engine took up no calibration within {self._swap_timeout_s:g} s; see /readyz for its state"
            ) from None

    def _picture_sizes(self) -> dict[str, tuple[int, int]]:
        return {
            camera.id: (camera.width, camera.height)
            for camera in self._pipeline.session.states()
            if camera.width > 0 and camera.height > 0
        }


def version_map(version: Version, *, running: bool) -> dict[str, Any]:
    """Say a version in JSON's terms."""
    return {
        "version": version.number,
        "calibration_id": version.rig.id,
        "source": version.source,
        "created": version.created,
        "replaced": version.replaced,
        "cameras": list(version.rig.camera_ids),
        "running": running,
    }


def judgement_map(judgement: Judgement) -> dict[str, Any]:
    """Say a judgement in JSON's terms."""
    return {
        "calibration_id": judgement.rig.id,
        "changes": {camera_id: asdict(change) for camera_id, change in judgement.changes.items()},
        "ignored": list(judgement.ignored),
        "suspicions": list(judgement.suspicions),
    }
