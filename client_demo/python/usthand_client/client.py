"""The client for programs without asyncio: the same client, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from usthand_client.async_client import AsyncClient
from usthand_client.backoff import Backoff
from usthand_client.clock import ClockOffset
from usthand_client.messages import Hands, Hello
from usthand_client.options import StreamOptions
from usthand_client.packets import Packet

_CLOSE_TIMEOUT_S: Final = 5.0
_WAKE_S: Final = 0.5

_T = TypeVar("_T")


class Client:
    """A connection to a service that mends itself; a context manager, and an iterator of `Hands`.

    Reading goes on in a thread while the program is busy, so that the next message is the newest and a slow program
    loses no connection. Arguments and attributes are `AsyncClient`'s.

    Example:
        ```python
        with Client("ws://127.0.0.1:8000") as client:
            for message in client:
                for hand in message.hands:
                    print(hand.side, hand.joints[8])
        ```
    """

    def __init__(
        self,
        address: str,
        options: StreamOptions | None = None,
        *,
        token: str | None = None,
        newest: bool = True,
        backoff: Backoff | None = None,
        give_up_after_s: float | None = None,
        on_packet: Callable[[Packet], None] | None = None,
    ) -> None:
        self._client = AsyncClient(
            address,
            options,
            token=token,
            newest=newest,
            backoff=backoff,
            give_up_after_s=give_up_after_s,
            on_packet=on_packet,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The stream's address."""
        return self._client.url

    @property
    def hello(self) -> Hello | None:
        """The newest hello; None until the first connection stands."""
        return self._client.hello

    @property
    def dropped(self) -> int:
        """Messages that a newer one replaced before they were taken."""
        return self._client.dropped

    @property
    def connections(self) -> int:
        """How often a connection was opened and greeted."""
        return self._client.connections

    def __enter__(self) -> Self:
        if self._loop is not None:
            raise RuntimeError("the client is open already; make another one for another stream")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="usthand-client", daemon=True)
        self._thread.start()
        self._wait(self._client.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Hands]:
        return self

    def __next__(self) -> Hands:
        """Wait for the next message; see `AsyncClient.__anext__` for what it raises."""
        if self._loop is None:
            raise StopIteration
        hands = self._wait(self._next())
        if hands is None:
            raise StopIteration
        return hands

    def connected(self) -> Hello:
        """Wait until the service has greeted, and return its hello."""
        return self._wait(self._client.connected())

    def clock_offset(self, pings: int = 8, timeout_s: float = 5.0) -> ClockOffset:
        """Measure how far the server's clock is ahead of `time.monotonic_ns()`; see `AsyncClient.clock_offset`."""
        return self._wait(self._client.clock_offset(pings, timeout_s))

    def close(self) -> None:
        """End the connection and the thread."""
        loop, thread, self._loop = self._loop, self._thread, None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._client.close(), loop).result(_CLOSE_TIMEOUT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_CLOSE_TIMEOUT_S)
        loop.close()

    async def _next(self) -> Hands | None:
        # StopAsyncIteration cannot pass through a future.
        return await anext(self._client, None)

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        if self._loop is None:
            work.close()
            raise RuntimeError("the client is not open; use it as `with Client(...) as client:`")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while True:
                try:
                    # Woken now and then, so that Ctrl-C is heard on every system.
                    return future.result(_WAKE_S)
                except TimeoutError:
                    if future.done():
                        raise
        except CancelledError:
            raise RuntimeError("the client was closed by another thread") from None
        except BaseException:
            future.cancel()
            raise
