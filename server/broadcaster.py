"""One newest-wins slot a client: a slow or dead client costs nobody else anything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from server.motion import MotionHistory, TrackMotion
from server.outgoing import Outgoing
from server.solved import Solved

MOST_CLIENTS: Final = 256


class TooManyClientsError(RuntimeError):
    """The service serves as many clients as it can."""


class Client:
    """The slot of one client, in the event loop."""

    def __init__(self) -> None:
        self.dropped = 0
        self.sent = 0
        self._slot: Outgoing | None = None
        self._filled = asyncio.Event()
        self._straight: Callable[[Outgoing], bool] | None = None

    def offer(self, outgoing: Outgoing) -> bool:
        """Send an answer past the slot if that can be done now, else put it there; one that still lies there is lost.

        Returns:
            Whether one was lost.
        """
        if self._straight is not None and self._slot is None and self._sent_straight(self._straight, outgoing):
            return False
        lost = self._slot is not None
        self.dropped += lost
        self._slot = outgoing
        self._filled.set()
        return lost

    async def wait(self, straight: Callable[[Outgoing], bool] | None = None) -> None:
        """Wait until the slot holds an answer.

        Args:
            straight: Called with each answer that comes meanwhile, and says whether it sent it. Those that it sent
                never see the slot, nor wake whoever waits: for most clients most of the time, that is most of the work.
        """
        self._straight = straight
        try:
            await self._filled.wait()
        finally:
            self._straight = None

    @staticmethod
    def _sent_straight(straight: Callable[[Outgoing], bool], outgoing: Outgoing) -> bool:
        try:
            return straight(outgoing)
        except Exception:  # noqa: BLE001 - not lost: it goes by the slot, and whoever takes it there meets its error
            return False

    def take(self) -> Outgoing | None:
        """Empty the slot."""
        outgoing, self._slot = self._slot, None
        self._filled.clear()
        return outgoing


class Broadcaster:
    """Hands each answer from the engine thread to the clients in the event loop."""

    def __init__(self) -> None:
        self._clients: set[Client] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._parting: Outgoing | None = None
        self._newest: tuple[Solved, Mapping[int, TrackMotion]] | None = None
        self._history = MotionHistory()
        self.messages_sent = 0
        self.messages_dropped = 0
        self.client_timeouts = 0

    @property
    def client_count(self) -> int:
        """Clients connected now."""
        return len(self._clients)

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to hand on answers, in that loop."""
        self._loop = loop

    def close(self) -> None:
        """Hand on no more answers."""
        self._loop = None

    def publish(self, solved: Solved) -> None:
        """Hand on an answer; called in the engine thread, never blocks, keeps one answer at most for a busy loop."""
        motion = self._history.add(solved)
        loop = self._loop
        with self._lock:
            waiting = self._newest is not None
            self._newest = solved, motion
            if loop is None:
                self._newest = None
        if loop is None or waiting:
            return
        try:
            loop.call_soon_threadsafe(self._fan_out)
        except RuntimeError:
            # The loop was closed between the two lines above: the service is going down.
            self._loop = None

    def _fan_out(self) -> None:
        with self._lock:
            newest, self._newest = self._newest, None
        if newest is None:
            return
        outgoing = Outgoing(*newest)
        # Who comes after the end is told so at once: nothing else would ever be said.
        self._parting = outgoing if newest[0].ended else None
        for client in self._clients:
            self.messages_dropped += client.offer(outgoing)

    def sent(self, client: Client) -> None:
        """Note that a client was sent a message."""
        client.sent += 1
        self.messages_sent += 1

    @contextmanager
    def client(self) -> Iterator[Client]:
        """Register a client for as long as the block runs.

        Raises:
            TooManyClientsError: If there are `MOST_CLIENTS` already.
        """
        if len(self._clients) >= MOST_CLIENTS:
            raise TooManyClientsError(f"{MOST_CLIENTS} clients are connected already; close one and try again")
        client = Client()
        if self._parting is not None:
            client.offer(self._parting)
        self._clients.add(client)
        try:
            yield client
        finally:
            self._clients.discard(client)
