"""Clients that ask for too much, to run beside a load: each in a process of its own, until that is ended."""

import asyncio
import base64
import contextlib
import io
import json
import os
import random
import wave
from collections.abc import AsyncIterator, Awaitable, Callable

from gtcrn_server.load.client import frame

NICENESS = 10  # so that the load's own clients are not held up
HANDSHAKE_SECONDS = 0.1  # before which nothing may be sent behind a handshake


async def _discard(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        pass


@contextlib.asynccontextmanager
async def _connection(port: int) -> AsyncIterator[asyncio.StreamWriter]:
    """A connection whose answers are read and thrown away."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.ensure_future(_discard(reader))
    try:
        yield writer
    finally:
        reading.cancel()
        writer.transport.abort()


@contextlib.asynccontextmanager
async def _stream(port: int, sample_rate: int = 16_000, channels: int = 1) -> AsyncIterator[asyncio.StreamWriter]:
    """A stream that has been started, or refused."""
    key = base64.b64encode(os.urandom(16)).decode()
    start = {"type": "start", "sample_rate": sample_rate, "channels": channels}
    async with _connection(port) as writer:
        writer.write(
            f"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await asyncio.sleep(HANDSHAKE_SECONDS)
        writer.write(frame(json.dumps(start).encode(), 1))
        yield writer


async def _repeat(writer: asyncio.StreamWriter, data: bytes) -> None:
    """As fast as it is taken, until the service has had enough."""
    while not writer.is_closing():
        writer.write(data)
        await writer.drain()


async def odd_rates(port: int) -> None:
    """Streams at rates that nobody has used before, one after another."""
    rate = random.randrange(8_001, 192_000, 2)
    async with _stream(port, rate) as writer:
        writer.write(frame(bytes(2 * 320)) * 50)
        await asyncio.sleep(0.05)


async def widest(port: int) -> None:
    """64 channels at 192 kHz, as fast as they are taken."""
    async with _stream(port, 192_000, 64) as writer:
        await _repeat(writer, frame(bytes(64 * 2 * 400)))


async def many_channels(port: int) -> None:
    """64 channels at 16 kHz, as fast as they are taken."""
    async with _stream(port, 16_000, 64) as writer:
        await _repeat(writer, frame(bytes(64 * 2 * 320)))


async def flood(port: int) -> None:
    """16 kHz as fast as it is taken."""
    async with _stream(port) as writer:
        await _repeat(writer, frame(bytes(640)) * 50)


async def resets(port: int) -> None:
    async with _stream(port) as writer:
        await _repeat(writer, frame(b'{"type": "reset"}', 1) * 50)


async def samples(port: int) -> None:
    """One sample a message."""
    async with _stream(port) as writer:
        await _repeat(writer, frame(bytes(2)) * 500)


async def pings(port: int) -> None:
    async with _stream(port) as writer:
        await _repeat(writer, frame(b"?", 9) * 500)


async def openings(port: int) -> None:
    """Streams that are opened and left."""
    async with _stream(port):
        await asyncio.sleep(0.01)


async def uploads(port: int) -> None:
    """Files of a minute."""
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, 16_000, 0, "NONE", ""))
        wav.writeframes(os.urandom(60 * 32_000))
    async with _connection(port) as writer:
        head = f"POST /v1/denoise HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(file.getvalue())}\r\n\r\n"
        await _repeat(writer, head.encode() + file.getvalue())


ATTACKS: dict[str, tuple[int, Callable[[int], Awaitable[None]]]] = {  # how many at a time, and what each repeats
    "odd-rates": (8, odd_rates),
    "widest": (4, widest),
    "many-channels": (1, many_channels),
    "flood": (20, flood),
    "resets": (8, resets),
    "samples": (8, samples),
    "pings": (8, pings),
    "openings": (8, openings),
    "uploads": (4, uploads),
}


def attack(name: str, port: int) -> None:
    """Be this client for ever."""
    os.nice(NICENESS)
    asyncio.run(besiege(name, port))


async def besiege(name: str, port: int) -> None:
    """All clients of this name at once, each again and again, for ever."""
    count, once = ATTACKS[name]

    async def again() -> None:
        while True:
            with contextlib.suppress(OSError):
                await once(port)
            await asyncio.sleep(0.01)

    await asyncio.gather(*[again() for _ in range(count)])
