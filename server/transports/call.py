"""What all calls have in common: the caller's audio through a stream, and two ends that talk until one leaves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.live import Live
from gtcrn_server.service import Service


class Voice:
    """A caller's PCM16, piece by piece: each comes back as long as it was, a constant delay late."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.delay = live.stream.latency - 1  # samples
        self._ready = bytearray(self.delay * live.width)

    async def __call__(self, pcm: bytes) -> bytes:
        """Raises ServiceError for half a sample."""
        async for output in self._live.feed(pcm):
            self._ready += output
        piece = bytes(self._ready[: len(pcm)])
        del self._ready[: len(pcm)]
        return piece


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
