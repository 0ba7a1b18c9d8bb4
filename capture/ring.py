"""A ring of frames in shared memory: one writer process, one reader process, no copy after the write.

Each slot is in one of four states, kept in words that have a single writer each, so that a process killed at any
instant leaves them readable:

    free      never written, or read and given back
    writing   the writer fills it
    ready     written, not yet taken by the reader
    held      taken by the reader and not yet given back: never written to

The writer fills a free slot in place. When there is none, lossless mode waits; live mode takes the frame aside and puts
it, once it is there, in place of the oldest ready one, which counts as `overwritten`; when all slots are held the frame
is lost as `ring_full`. Claiming a slot and taking ready ones exclude each other through the segment's lock; giving back
needs no lock.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from capture.shared_memory import Segment
from capture.state import DropCause

_PAGE = mmap.ALLOCATIONGRANULARITY
_WORD = 8

# Words of the ring as a whole. The writer writes all but `_STOP`.
_STOP, _FRAMES, _NEXT_INDEX, _NEXT_SEQUENCE, _BEAT = range(5)
_COUNTED: tuple[DropCause, ...] = ("overwritten", "ring_full", "behind", "undecodable")
_COUNTS = 8
_RING_WORDS = 16
# Words of each slot. The writer writes the first four, the reader the rest.
_SEQUENCE, _INDEX, _TIMESTAMP, _RECEIVED, _TAKEN, _HELD = range(6)
_SLOT_WORDS = 8
_WRITING = -1

LOCK_TIMEOUT_S = 0.2


@dataclass(frozen=True, slots=True)
class RingLayout:
    """Where things are in a ring's segment.

    Args:
        width: Image width in pixels.
        height: Image height in pixels.
        slots: Frames.
    """

    width: int
    height: int
    slots: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one picture."""
        return self.width * self.height * 3

    @property
    def stride(self) -> int:
        """Bytes from slot to slot, whole pages."""
        return -(-self.frame_bytes // _PAGE) * _PAGE

    @property
    def words(self) -> int:
        """Words before the pictures."""
        return _RING_WORDS + self.slots * _SLOT_WORDS

    @property
    def header_bytes(self) -> int:
        """Bytes before the pictures, whole pages."""
        return -(-self.words * _WORD // _PAGE) * _PAGE

    @property
    def size(self) -> int:
        """Bytes of the whole segment."""
        return self.header_bytes + self.slots * self.stride

    def header(self, segment: Segment) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Map the words: the ring's own, and `(slots, words)` of the slots."""
        words = segment.writable(0, self.header_bytes).view(np.int64)[: self.words]
        return words[:_RING_WORDS], words[_RING_WORDS:].reshape(self.slots, _SLOT_WORDS)

    def images(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        """Split mapped pixel bytes into one `(H, W, 3)` view a slot."""
        starts = range(0, self.slots * self.stride, self.stride)
        return [pixels[s : s + self.frame_bytes].reshape(self.height, self.width, 3) for s in starts]


@dataclass(frozen=True, eq=False, slots=True)
class Lease:
    """One frame that the reader holds.

    Args:
        slot: Its slot.
        index: The grabber's count.
        timestamp_ns: Exposure, monotonic clock.
        received_ns: Arrival, monotonic clock.
        image_bgr: Read-only view of the slot.
    """

    slot: int
    index: int
    timestamp_ns: int
    received_ns: int
    image_bgr: NDArray[np.uint8]


class RingWriter:
    """The grabber's end. One thread uses it.

    Args:
        layout: The ring's layout.
        segment: Its memory.
    """

    def __init__(self, layout: RingLayout, segment: Segment) -> None:
        self._segment = segment
        self._ring, self._slots = layout.header(segment)
        self._images = layout.images(segment.writable(layout.header_bytes, layout.size - layout.header_bytes))
        self._writing: int | None = None

    @property
    def stopping(self) -> bool:
        """Whether the reader asked the grabber to end."""
        return bool(self._ring[_STOP])

    @property
    def next_index(self) -> int:
        """One more than the last frame's index, through restarts of the grabber."""
        return int(self._ring[_NEXT_INDEX])

    def beat(self, now_ns: int) -> None:
        """Show that the grabber's process is alive, though no frame may come."""
        self._ring[_BEAT] = now_ns

    def begin(self) -> NDArray[np.uint8] | None:
        """Return a free slot's pixels to write, or None if there is none now.

        A slot that was begun and not committed is returned again.
        """
        if self._writing is None:
            self._writing = self._claim(overwrite=False)
        return None if self._writing is None else self._images[self._writing]

    def _claim(self, *, overwrite: bool) -> int | None:
        if not self._segment.lock(LOCK_TIMEOUT_S):
            return None
        try:
            sequence, taken = self._slots[:, _SEQUENCE], self._slots[:, _TAKEN]
            idle = self._slots[:, _HELD] == 0
            free = np.flatnonzero(idle & (sequence == taken))
            if free.size:
                slot = int(free[0])
            else:
                ready = np.flatnonzero(idle & (sequence > taken))
                if not overwrite or not ready.size:
                    return None
                slot = int(ready[np.argmin(sequence[ready])])
                self.count("overwritten")
            self._slots[slot, _SEQUENCE] = _WRITING
        finally:
            self._segment.unlock()
        return slot

    def put(self, image: NDArray[np.uint8], index: int, timestamp_ns: int, received_ns: int) -> None:
        """Hand over a frame that no slot was free for: in place of the oldest unread one, or not at all."""
        self._writing = self._claim(overwrite=True)
        if self._writing is None:
            self._took(index)
            self.count("ring_full")
            return
        np.copyto(self._images[self._writing], image)
        self.commit(index, timestamp_ns, received_ns)

    def commit(self, index: int, timestamp_ns: int, received_ns: int) -> None:
        """Hand the slot that was begun to the reader."""
        if self._writing is None:
            raise ValueError("no slot was begun; call begin() first")
        number = int(self._ring[_NEXT_SEQUENCE]) + 1
        self._ring[_NEXT_SEQUENCE] = number
        self._slots[self._writing, [_INDEX, _TIMESTAMP, _RECEIVED]] = index, timestamp_ns, received_ns
        # Last: the sequence number is what makes the slot ready, and the lock orders it after the pixels. A reader that
        # holds it is only kept from the processor: the frame waits for it, or lossless would lose one.
        while not self._segment.lock(LOCK_TIMEOUT_S):
            if self.stopping:
                self._took(index)
                self.count("ring_full")
                return
        # Counted in the same breath: a writer that is killed while it waits has not taken this frame.
        self._took(index)
        self._slots[self._writing, _SEQUENCE] = number
        self._segment.unlock()
        self._writing = None

    def count(self, cause: DropCause, frames: int = 1) -> None:
        """Count dropped frames that are among the taken ones already."""
        self._ring[_COUNTS + _COUNTED.index(cause)] += frames

    def skip(self, cause: DropCause, frames: int) -> None:
        """Count frames that the source had and that were never taken."""
        self._ring[_FRAMES] += frames
        self.count(cause, frames)

    def _took(self, index: int) -> None:
        self._ring[_FRAMES] += 1
        self._ring[_NEXT_INDEX] = index + 1


class RingReader:
    """The session's end: owns the segment. `take` and `repair` belong to one thread, `give_back` to any.

    Args:
        layout: The ring's layout.
        segment: Its memory.

    Attributes:
        pixels: All pictures' bytes, of which each lease's picture is a view; read-only.
    """

    def __init__(self, layout: RingLayout, segment: Segment) -> None:
        self.layout = layout
        self.segment = segment
        self._ring, self._slots = layout.header(segment)
        self.pixels = segment.readable(layout.header_bytes, layout.size - layout.header_bytes)
        self._images = layout.images(self.pixels)

    @property
    def frames(self) -> int:
        """Frames that the source had, dropped ones included."""
        return int(self._ring[_FRAMES])

    @property
    def beat_ns(self) -> int:
        """When the grabber's process last showed that it is alive."""
        return int(self._ring[_BEAT])

    @property
    def drops(self) -> dict[str, int]:
        """Frames that did not get through the ring, by cause."""
        counts = {cause: int(self._ring[_COUNTS + i]) for i, cause in enumerate(_COUNTED)}
        return {cause: count for cause, count in counts.items() if count}

    @property
    def held(self) -> int:
        """Slots that are held."""
        return int(np.count_nonzero(self._slots[:, _HELD]))

    def take(self) -> list[Lease]:
        """Take all frames that are ready, oldest first; none if the writer hangs inside the lock."""
        if not self.segment.lock(LOCK_TIMEOUT_S):
            return []
        try:
            ready = np.flatnonzero(self._slots[:, _SEQUENCE] > self._slots[:, _TAKEN])
            ready = ready[np.argsort(self._slots[ready, _SEQUENCE])]
            self._slots[ready, _HELD] = 1
            self._slots[ready, _TAKEN] = self._slots[ready, _SEQUENCE]
        finally:
            self.segment.unlock()
        return [self._lease(int(slot)) for slot in ready]

    def _lease(self, slot: int) -> Lease:
        index, timestamp_ns, received_ns = (int(self._slots[slot, word]) for word in (_INDEX, _TIMESTAMP, _RECEIVED))
        return Lease(slot, index, timestamp_ns, received_ns, self._images[slot])

    def give_back(self, slot: int) -> None:
        """Let the writer have a slot again; its pixels must not be read any more."""
        self._slots[slot, _HELD] = 0

    def ask_to_stop(self, stop: bool) -> None:
        """Ask the grabber to end after its present frame, or take that back for a new one."""
        self._ring[_STOP] = stop

    def repair(self) -> None:
        """Free what a writer left half written. Only when it is dead."""
        torn = self._slots[:, _SEQUENCE] == _WRITING
        self._slots[torn, _SEQUENCE] = self._slots[torn, _TAKEN]
