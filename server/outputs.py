"""The protocols that a service speaks beside its own stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from server.broadcaster import Broadcaster
from server.datagrams import DatagramSender, Target
from server.dialects import DEFAULT_UP, Up
from server.livelink import livelink_datagrams
from server.vmc import vmc_datagrams


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is switched on.

    Args:
        up: Which axis of the calibration's world points up, for these protocols and for clients that do not say.
        leap_port: Where Leap's WebSocket listens; None is off, 0 takes a free port.
        vmc: Who gets VMC messages; None is nobody.
        livelink: Who gets LiveLink's JSON; None is nobody.
    """

    up: Up = DEFAULT_UP
    leap_port: int | None = None
    vmc: Target | None = None
    livelink: Target | None = None

    def open_senders(self) -> list[DatagramSender]:
        """Open the links to the receivers of datagrams.

        Raises:
            AddressError: If a host is not known or cannot be reached; no link is left open then.
        """
        with contextlib.ExitStack() as opened:
            senders = []
            for option, target, encode in (
                ("--vmc", self.vmc, vmc_datagrams),
                ("--livelink", self.livelink, livelink_datagrams),
            ):
                if target is not None:
                    link = opened.enter_context(contextlib.closing(target.connect(option)))
                    senders.append(DatagramSender(option, link, partial(encode, up=self.up)))
            opened.pop_all()
        return senders


@asynccontextmanager
async def running_senders(senders: Sequence[DatagramSender], broadcaster: Broadcaster) -> AsyncIterator[None]:
    """Let senders run for as long as the block does."""
    tasks = [asyncio.create_task(sender.run(broadcaster)) for sender in senders]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
