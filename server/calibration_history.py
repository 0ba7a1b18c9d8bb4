"""The versions of the running calibration, kept in memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from calibration import Rig

MOST_VERSIONS: Final = 32


@dataclass(frozen=True, eq=False, slots=True)
class Version:
    """A calibration that runs or ran.

    Args:
        number: Counts up from 1.
        rig: The calibration.
        source: Where it came from: `start`, `upload`, or `board` for a live calibration.
        created: When it was taken up first, ISO 8601 in UTC.
        replaced: The version that ran before it; None for the first.
    """

    number: int
    rig: Rig
    source: str
    created: str
    replaced: int | None


class History:
    """Versions, one of them running. A rollback goes to an older one and forgets none.

    Args:
        rig: The calibration that the service starts with.
    """

    def __init__(self, rig: Rig) -> None:
        self._versions = [Version(1, rig, "start", _now(), None)]
        self._running = 1
        self._count = 1

    @property
    def running(self) -> Version:
        """The version in use."""
        return self.version(self._running)

    @property
    def versions(self) -> tuple[Version, ...]:
        """All that are kept, oldest first."""
        return tuple(self._versions)

    def version(self, number: int) -> Version:
        """Return a version by its number.

        Raises:
            KeyError: If it is not kept, with the numbers that are.
        """
        for version in self._versions:
            if version.number == number:
                return version
        kept = ", ".join(str(version.number) for version in self._versions)
        raise KeyError(f"there is no version {number}; kept are {kept}")

    def rollback_target(self, number: int | None) -> Version:
        """Return the version to go back to: the one named, or the one that the running one replaced.

        Raises:
            KeyError: If there is no such version.
        """
        if number is not None:
            return self.version(number)
        replaced = self.running.replaced
        if replaced is None:
            raise KeyError("the running calibration is the first one; there is none before it")
        return self.version(replaced)

    def add(self, rig: Rig, source: str) -> Version:
        """Note that a new calibration runs now."""
        self._count += 1
        version = Version(self._count, rig, source, _now(), self._running)
        self._versions.append(version)
        self._running = version.number
        if len(self._versions) > MOST_VERSIONS:
            # The first stays: it is what the service was started with; so does what a rollback would go back to.
            kept = (self._versions[0].number, version.replaced)
            self._versions.remove(next(old for old in self._versions if old.number not in kept))
        return version

    def go_back(self, version: Version) -> None:
        """Note that an older version runs again."""
        self._running = version.number


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
