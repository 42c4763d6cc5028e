"""The example of a client whose stream outlives its connection, against a host that is at fault as it is told."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

import pytest
from serving import Running, example, offline, pcm, speech
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from gtcrn import Denoiser

DATA = bytes(range(256)) * 10


@dataclass
class Host:
    """What comes goes back, but for a fault of each connection in turn until there are no more.

    dead: a balancer of TCP takes the connection, and nobody is behind it; locked: 403; gone: dies when it is talked to.
    """

    faults: list[str]
    seen: int = 0  # connections

    def shake(self, connection: ServerConnection, _: Request) -> Response | None:
        self.seen += 1
        if self._is("dead"):
            connection.transport.abort()
        return connection.respond(HTTPStatus.FORBIDDEN, "no") if self._is("locked") else None

    async def talk(self, connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send('{"type": "ready", "received": 0, "sent": 0}')
        if self._is("gone"):
            connection.transport.abort()
        while isinstance(message := await connection.recv(), bytes):
            await connection.send(message)
        await connection.send('{"type": "done"}')

    def _is(self, fault: str) -> bool:
        return self.faults[:1] == [fault] and bool(self.faults.pop(0))


async def source(data: bytes = DATA, error: Exception | None = None) -> AsyncIterator[bytes]:
    yield data
    if error:
        raise error


@dataclass
class Heard:
    audio: bytes = b""

    async def __call__(self, url: str, chunks: AsyncIterator[bytes], patience: float) -> None:
        module = example("reconnecting")
        module.PAUSE_SECONDS, module.PATIENCE_SECONDS = 0.01, patience
        async for audio in module.Reconnecting(url).run(chunks):
            self.audio += audio


async def talked(host: Host, heard: Heard, patience: float = 60.0) -> None:
    async with serve(host.talk, "127.0.0.1", 0, process_request=host.shake) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        await heard(f"ws://127.0.0.1:{port}", source(), patience)


def test_a_dead_host_behind_a_balancer_is_asked_again() -> None:
    host, heard = Host(["dead", "dead"]), Heard()
    asyncio.run(talked(host, heard))
    assert heard.audio == DATA
    assert host.seen == 3


def test_who_is_not_let_in_is_told_at_once() -> None:
    host = Host(["locked"] * 9)
    with pytest.raises(Exception, match=r"does not let this client in \(HTTP 403\)"):
        asyncio.run(talked(host, Heard()))
    assert host.seen == 1


def test_patience_begins_with_a_failure_and_anew_when_a_host_is_ready() -> None:
    """None at all is enough for one failure; however long the stream was without audio before."""
    host, heard = Host(["gone", "gone"]), Heard()
    asyncio.run(talked(host, heard, patience=0.0))
    assert heard.audio == DATA
    assert host.seen == 3
    with pytest.raises(Exception, match="valid HTTP response"):
        asyncio.run(talked(Host(["dead"] * 9), Heard(), patience=0.0))


def test_a_source_that_fails_is_told_when_all_before_is_here(service: Running, denoiser: Denoiser) -> None:
    data, heard = pcm(speech(0.2)), Heard()
    with pytest.raises(ValueError, match="no microphone"):
        asyncio.run(heard(service.socket, source(data, ValueError("no microphone")), 60.0))
    assert heard.audio == offline(denoiser, data)
