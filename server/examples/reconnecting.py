"""A WebSocket client whose stream outlives its connection, and the host at the other end of it.

    python server/examples/reconnecting.py ws://127.0.0.1:8000/v1/stream < noisy.s16 > clean.s16

It keeps what it sent since its last token. When the connection ends before `done`, it opens another, shows the token,
sends again what the service does not have yet, and leaves out what it has got already: as if nothing had happened.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

WIDTH = 2  # bytes of a sample
PIECE = 640  # bytes of a message
PAUSE_SECONDS, PATIENCE_SECONDS = 0.2, 30.0  # between two attempts, and for all of them


class Refused(Exception):
    """The service said why the stream cannot go on."""


class Reconnecting:
    """One stream of mono PCM16. `options` are those of the start message; a token comes every `seconds`."""

    def __init__(self, url: str, seconds: float = 2.0, **options: Any) -> None:
        self._url, self._start = url, {"type": "start", "tokens": seconds, **options}
        self._kept = bytearray()  # input from `_base` on, in bytes since the begin
        self._base = self._got = 0
        self._ended = self._done = False
        self._arrived = asyncio.Event()
        self.connections = 0

    async def run(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Denoised audio of all chunks, each sample once. Raises Refused, or OSError when nobody answers for long."""
        collecting = asyncio.create_task(self._collect(chunks))
        loop = asyncio.get_running_loop()
        try:
            patience = loop.time() + PATIENCE_SECONDS
            while not self._done:
                try:
                    async for audio in self._converse():
                        patience = loop.time() + PATIENCE_SECONDS
                        yield audio
                except (OSError, ConnectionClosed, InvalidStatus):  # InvalidStatus: 503 of a host that is leaving
                    if loop.time() > patience:
                        raise
                if not self._done:
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            collecting.cancel()

    async def _collect(self, chunks: AsyncIterable[bytes]) -> None:
        async for chunk in chunks:
            self._kept += chunk
            self._arrived.set()
        self._ended = True
        self._arrived.set()

    async def _converse(self) -> AsyncIterator[bytes]:
        """One connection, until it ends."""
        async with connect(self._url) as connection:
            self.connections += 1
            await connection.send(json.dumps(self._start))
            ready = _event(await connection.recv())
            place = ready["sent"] * WIDTH
            sending = asyncio.create_task(self._send(connection, ready["received"] * WIDTH))
            try:
                async for message in connection:
                    if isinstance(message, bytes):
                        new = message[max(0, self._got - place) :]
                        place += len(message)
                        self._got += len(new)
                        yield new
                    else:
                        self._heed(_event(message))
            finally:
                sending.cancel()

    async def _send(self, connection: ClientConnection, place: int) -> None:
        """What is kept from `place` on, and what comes."""
        while True:
            self._arrived.clear()
            while place < self._base + len(self._kept):
                piece = bytes(self._kept[place - self._base :][:PIECE])
                await connection.send(piece)
                place += len(piece)
            if self._ended:
                return await connection.send(json.dumps({"type": "end"}))
            await self._arrived.wait()

    def _heed(self, event: dict[str, Any]) -> None:
        self._done = event["type"] == "done"
        if event["type"] == "token":
            self._start = {"type": "start", "tokens": self._start["tokens"], "resume": event["token"]}
            before = event["received"] * WIDTH
            del self._kept[: before - self._base]
            self._base = before


def _event(message: str | bytes) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(message)
    if event["type"] == "error" and event["code"] not in ("leaving", "busy", "overloaded"):
        raise Refused(event["message"])
    if event["type"] == "error":
        raise ConnectionResetError(event["message"])
    return event


async def main(url: str) -> None:
    async def read() -> AsyncIterator[bytes]:
        while chunk := await asyncio.to_thread(sys.stdin.buffer.read, PIECE):
            yield chunk

    async for audio in Reconnecting(url).run(read()):
        sys.stdout.buffer.write(audio)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
