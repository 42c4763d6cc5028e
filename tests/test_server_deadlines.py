"""Who is silent, slow or stays too long is ended in time, and keys and pages are looked at before."""

import asyncio
import json
import os
import socket
from time import monotonic
from types import SimpleNamespace

import pytest
from serving import (
    START,
    Answer,
    pcm,
    receive_all,
    running,
    say,
    send_all,
    settings,
    speech,
    wait_for,
)
from websockets.asyncio.client import connect

from gtcrn import Denoiser
from gtcrn_server.load.client import frame
from gtcrn_server.load.generator import resident_bytes
from gtcrn_server.service import Service
from gtcrn_server.sessions import Session
from gtcrn_server.streams.held import Ask, Held
from gtcrn_server.transports.guard import Guard


def test_who_never_starts_is_closed(denoiser: Denoiser) -> None:
    with running(denoiser, start_seconds=0.2) as service:
        answer = say(service.socket)
        assert (answer.code, answer.events[0]["code"]) == (1008, "timeout")
        assert service.service.telemetry.live == 0


def test_half_open_connections_expire(denoiser: Denoiser) -> None:
    """The client is there for TCP but never says anything again; its place is freed, its tail was sent."""
    with running(denoiser, idle_seconds=0.3) as service:
        answer = say(service.socket, START, pcm(speech(0.1)))
        assert answer.code == 1008
        assert [event["type"] for event in answer.events] == ["ready", "done", "error"]
        assert len(answer.audio) == len(pcm(speech(0.1)))


class Slept(asyncio.SelectorEventLoop):
    """As on a Mac: its clock counts the hours in which the machine slept."""

    def time(self) -> float:
        return super().time() + 36_000


def test_a_loop_whose_clock_counts_sleep_ends_nothing(denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        service, swept, closed = Service(settings(), denoiser), asyncio.Event(), list[bool]()
        guard = Guard(service, lambda **_: None, {})
        guard.transport = SimpleNamespace(is_closing=lambda: False, close=lambda: closed.append(True))
        service.guards.add(guard)
        sweep = service.sweep

        def noted(now: float) -> None:
            sweep(now)
            swept.set()

        monkeypatch.setattr(service, "sweep", noted)
        with Session(service, "websocket", ""):
            watching = asyncio.create_task(service.watch())
            await service.streams.put(Held("0-x", "", None, None, monotonic(), monotonic()))
            await swept.wait()
            watching.cancel()
        assert (await service.streams.ask(Ask(verb="end", identity="0-x", owner="", client=""))).body == b""
        assert not closed

    with asyncio.Runner(loop_factory=Slept) as runner:
        runner.run(scene())


def test_a_host_that_leaves_does_not_wait_for_ever_for_what_shared_streams_need(
    denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gtcrn_server.service.FAREWELL_SECONDS", 0.1)
    service = Service(settings(drain_seconds=0), denoiser)
    monkeypatch.setattr(service.streams, "leave", asyncio.Event().wait)
    asyncio.run(service.drain(lambda: False))


def test_connections_that_never_ask_are_closed(denoiser: Denoiser) -> None:
    with (
        running(denoiser, start_seconds=0.2) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=10) as silent,
    ):
        silent.sendall(b"GET /healthz HT")
        assert silent.recv(100) == b""


def test_sessions_end_after_their_time(denoiser: Denoiser) -> None:
    async def talkative(url: str) -> Answer:
        async with connect(url) as connection:
            reading = asyncio.ensure_future(receive_all(connection))
            await send_all(connection, [START])
            while not reading.done():
                await send_all(connection, [b"\0" * 640])
                await asyncio.sleep(0.02)
            return await reading

    with running(denoiser, session_seconds=0.4) as service:
        answer = asyncio.run(talkative(service.socket))
        assert answer.code == 1008
        assert answer.events[-1]["message"] == "A stream may last 0.4 s."


def test_a_slow_reader_is_dropped_and_memory_does_not_grow(denoiser: Denoiser) -> None:
    """It sends for as long as it can and never reads."""
    block = pcm(speech(4))
    flood = (b"\x82\xff" + len(block).to_bytes(8) + b"\0\0\0\0" + block) * 1000  # 128 MB; the sockets hold a few
    with running(denoiser, slow_reader_seconds=0.5, max_message_bytes=200_000) as service:
        before = resident_bytes(os.getpid())
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
            connection.sendall(
                b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            assert b" 101 " in connection.recv(1000)
            connection.sendall(frame(json.dumps(START).encode(), opcode=1))
            with pytest.raises(OSError, match=r"reset|pipe"):  # it is dropped, and does not wait for ever
                connection.sendall(flood)
        wait_for(lambda: service.service.telemetry.live == 0)
        assert resident_bytes(os.getpid()) - before < 60_000_000
        assert service.service.telemetry.rejections["slow_reader"] == 1
