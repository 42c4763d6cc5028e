"""What all calls have in common: the caller's audio through a stream, and two ends that talk until one leaves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any

from gtcrn.audio import laws
from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.live import Live
from gtcrn_server.service import FAREWELL_SECONDS, Service

PHONE_RATE = 8_000  # Hz


class Voice:
    """A caller's audio, piece by piece: each comes back as long as it was, a constant delay late; at last the tail.

    Pieces are PCM16, or codes of the law that is named ("ulaw", "alaw").
    """

    def __init__(self, live: Live, law: str = "") -> None:
        self._live, self._law = live, law
        self._ready = bytearray((live.stream.latency - 1) * live.width)
        self._last = 0  # bytes of PCM in the last piece

    async def __call__(self, data: bytes) -> bytes:
        """Raises ServiceError for half a sample."""
        pcm = laws.to_pcm16(data, self._law) if self._law else data
        async for output in self._live.feed(pcm):
            self._ready += output
        self._last = len(pcm) or self._last
        return self._take(len(pcm))

    async def tail(self) -> list[bytes]:
        """What is still inside, in pieces no longer than the last one was, filled up with silence; then it is over."""
        if not self._last:
            return []
        size, self._last = self._last, 0
        self._ready += await self._live.finish()
        size = min(size, len(self._ready))
        self._ready += bytes(-len(self._ready) % size)
        return [self._take(size) for _ in range(0, len(self._ready), size)]

    def _take(self, size: int) -> bytes:
        piece = bytes(self._ready[:size])
        del self._ready[:size]
        return laws.from_pcm16(piece, self._law) if self._law else piece


async def until_one_leaves(*ends: Coroutine[Any, Any, None]) -> None:
    """Run all until the first ends, and then none. Raises what that one raised."""
    tasks = [asyncio.create_task(end) for end in ends]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


@contextlib.asynccontextmanager
async def with_last_words(finish: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Where the service ends the block, `finish` is awaited first, if it does not take long and nobody has gone."""
    try:
        yield
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):  # the call is over anyway
            async with asyncio.timeout(FAREWELL_SECONDS):
                await finish()
        raise


@contextlib.asynccontextmanager
async def in_time(service: Service, what: str) -> AsyncIterator[None]:
    """Raises ServiceError where the block takes longer than a start may."""
    seconds = service.settings.start_seconds
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise ServiceError(Kind.TIMEOUT, f"{what} within {seconds:g} s.") from error


@contextlib.contextmanager
def reaching_the_bot() -> Iterator[None]:
    """Raises ServiceError in place of what a connection to the bot that does not come about raises."""
    try:
        yield
    except Exception as error:
        raise ServiceError(Kind.INTERNAL, "The bot that calls go to cannot be reached.") from error
