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
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

WIDTH = 2  # bytes of a sample
PIECE = 640  # bytes of a message
PAUSE_SECONDS, PATIENCE_SECONDS = 0.2, 30.0  # between two attempts, and from the first failure to the last attempt
LOCKED = (401, 403)  # HTTP's status where another attempt is of no use; 502 and 503 are of hosts that leave


class Refused(Exception):
    """The service said why the stream cannot go on."""


class Reconnecting:
    """One stream of mono PCM16. `options` are those of the start message; a token comes every `seconds`."""

    def __init__(self, url: str, seconds: float = 2.0, **options: Any) -> None:
        self._url, self._start = url, {"type": "start", "tokens": seconds, **options}
        self._kept = bytearray()  # input from `_base` on, in bytes since the begin
        self._base = self._got = 0
        self._ended = self._done = False
        self._failing: float | None = None  # since when; until a service is ready
        self._arrived = asyncio.Event()
        self.connections = 0

    async def run(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Denoised audio of all chunks, each sample once.

        Raises Refused; when nobody is ready for long, OSError, ConnectionClosed or InvalidHandshake; and what `chunks`
        raises, when all before it is here.
        """
        collecting = asyncio.create_task(self._collect(chunks))
        try:
            while not self._done:
                try:
                    async for audio in self._converse():
                        yield audio
                except (OSError, ConnectionClosed, InvalidHandshake) as error:
                    self._bear(error)
                if not self._done:
                    await asyncio.sleep(PAUSE_SECONDS)
            await collecting
        finally:
            await _over(collecting)

    def _bear(self, error: Exception) -> None:
        """Raises the error when nobody has been ready for long, and Refused where no attempt will change that."""
        if isinstance(error, InvalidStatus) and (status := error.response.status_code) in LOCKED:
            raise Refused(f"The service does not let this client in (HTTP {status}).") from error
        now = asyncio.get_running_loop().time()
        self._failing = self._failing or now
        if now - self._failing > PATIENCE_SECONDS:
            raise error

    async def _collect(self, chunks: AsyncIterable[bytes]) -> None:
        try:
            async for chunk in chunks:
                self._kept += chunk
                self._arrived.set()
        finally:
            self._ended = True
            self._arrived.set()

    async def _converse(self) -> AsyncIterator[bytes]:
        """One connection, until it ends."""
        async with connect(self._url) as connection:
            self.connections += 1
            await connection.send(json.dumps(self._start))
            ready = _event(await connection.recv())
            self._failing = None
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
                await _over(sending)

    async def _send(self, connection: ClientConnection, place: int) -> None:
        """What is kept from `place` on, and what comes."""
        while True:
            self._arrived.clear()
            while place < self._base + len(self._kept):
                begin = place - self._base
                piece = bytes(self._kept[begin : begin + PIECE])
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


async def _over(task: asyncio.Task[None]) -> None:
    """End it. What it raised is told elsewhere."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


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
