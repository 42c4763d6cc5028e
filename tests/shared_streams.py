"""Two services that share REST streams in one Redis, and what a client asks of them."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
from served import RedisServer
from serving import Running, running

from gtcrn import Denoiser
from gtcrn_server.streams.shared import SharedStreams

KEY = "a secret that all hosts know"


@contextlib.contextmanager
def pair(denoiser: Denoiser, redis: RedisServer, **changes: Any) -> Iterator[tuple[Running, Running]]:
    """Two services with one Redis."""
    shared = {"redis_url": redis.url, "state_keys": KEY, **changes}
    with running(denoiser, **shared) as first, running(denoiser, **shared) as second:
        yield first, second


def opened(service: Running, **options: object) -> str:
    answer = httpx.post(f"{service.http}/v1/streams", json=options)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def frames(service: Running, path: str, sequence: int, data: bytes) -> httpx.Response:
    return httpx.post(f"{service.http}{path}/frames", params={"sequence": sequence}, content=data, timeout=20)


def hot(service: Running) -> SharedStreams:
    assert isinstance(service.service.streams, SharedStreams)
    return service.service.streams


def vanish(service: Running) -> None:
    """As if killed: it keeps nothing and listens to nobody, from one moment to the next."""
    streams, loop = hot(service), service.server.servers[0].get_loop()

    async def gone() -> None:
        streams._keeping.cancel()
        await streams._letters.stop()
        streams._hot.clear()

    asyncio.run_coroutine_threadsafe(gone(), loop).result(5)
