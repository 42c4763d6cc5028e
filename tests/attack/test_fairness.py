"""One client that asks for too much: how much is done for it in a row, and what it gets while audio of others is due.

Mechanisms, not times: the service is made to believe that audio is due in every round of its loop, which is as busy as
it can be. The times are those of `python -m gtcrn_server.load --hostile`, in server/README.md.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator

import pytest
from commands import until
from serving import END, START, Running, cut, offline, pcm, receive_all, running, send_all, speech
from websockets.asyncio.client import connect
from websockets.sync.client import connect as connect_now

from gtcrn import Denoiser
from gtcrn_server.live import Live
from gtcrn_server.load.client import frame
from gtcrn_server.transports.direct import MAX_IN_A_ROW, DirectProtocol
from gtcrn_server.transports.guard import Guard
from gtcrn_server.transports.websocket import RESET_SECONDS
from gtcrn_server.turns import BURST, TOLERANCE

pytestmark = pytest.mark.attack


@contextlib.contextmanager
def always_due(service: Running, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Audio of somebody else is due in every round of the service's loop."""
    on = True

    def tick() -> None:
        service.service.turns.due += 1
        if on:
            loop.call_soon(tick)

    loop.call_soon_threadsafe(tick)
    try:
        yield
    finally:
        on = False


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.AbstractEventLoop]:
    """The loop of each connection that is opened."""
    seen: list[asyncio.AbstractEventLoop] = []
    made = DirectProtocol.connection_made

    def connection_made(self: DirectProtocol, transport: asyncio.BaseTransport) -> None:
        seen.append(self.loop)
        made(self, transport)

    monkeypatch.setattr(DirectProtocol, "connection_made", connection_made)
    return seen


def test_a_flood_gets_real_time_while_audio_of_others_is_due(
    denoiser: Denoiser, loops: list[asyncio.AbstractEventLoop]
) -> None:
    """And all of it, unharmed, once nothing is."""
    data = pcm(speech(8))

    async def flood(service: Running) -> tuple[float, bytes]:
        async with connect(service.socket) as connection:
            reading = asyncio.ensure_future(receive_all(connection))
            await send_all(connection, [START, data[:2]])
            await until(lambda: service.service.telemetry.live_audio.seconds)
            with always_due(service, loops[0]):
                begun = time.monotonic()
                sending = asyncio.ensure_future(send_all(connection, [*cut(data[2:], (640, 20_000)), END]))
                await asyncio.sleep(0.7)
                ahead = service.service.telemetry.live_audio.seconds / (BURST + time.monotonic() - begun)
            await sending
            return ahead, (await reading).audio

    with running(denoiser) as service:
        ahead, audio = asyncio.run(flood(service))
    assert ahead <= TOLERANCE + 0.2
    assert audio == offline(denoiser, data)


def test_resets_without_end_are_held_back(
    denoiser: Denoiser, loops: list[asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    resets: list[float] = []
    reset = Live.reset

    async def counted(self: Live) -> bytes:
        resets.append(time.monotonic())
        return await reset(self)

    monkeypatch.setattr(Live, "reset", counted)
    with running(denoiser) as service, connect_now(service.socket, compression=None) as connection:
        connection.send(json.dumps(START))
        connection.recv()
        with always_due(service, loops[0]):
            connection.socket.sendall(frame(b'{"type": "reset"}', 1) * 400)
            time.sleep(0.7)
            held = len(resets)
        assert 1 <= held <= (BURST + resets[held - 1] - resets[0]) * TOLERANCE / RESET_SECONDS + 1
        connection.send(json.dumps(END))
        events = [json.loads(message) for message in connection if isinstance(message, str)]
    assert events[-1]["type"] == "done"
    assert len(resets) == 400


@pytest.mark.parametrize("payload", [b"", b"\0\0", b'{"type": "set"}'], ids=["nothing", "a sample", "an order"])
def test_tiny_messages_are_worked_on_a_few_at_a_time(
    denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch, payload: bytes
) -> None:
    """However many arrive in one read."""
    frames: list[int] = []
    work, answer, received = DirectProtocol._work, DirectProtocol.answer, Guard.data_received

    def counted_work(self: DirectProtocol) -> None:
        frames.append(0)
        work(self)

    def counted_read(self: Guard, data: bytes) -> None:
        frames.append(0)
        received(self, data)

    def counted_frame(self: DirectProtocol, frame: bytes | bytearray) -> bool:
        frames[-1] += 1
        return answer(self, frame)

    monkeypatch.setattr(DirectProtocol, "_work", counted_work)
    monkeypatch.setattr(Guard, "data_received", counted_read)
    monkeypatch.setattr(DirectProtocol, "answer", counted_frame)
    with running(denoiser) as service, connect_now(service.socket, compression=None) as connection:
        connection.send(json.dumps(START))
        connection.recv()
        connection.socket.sendall(frame(payload, 1 if payload[:1] == b"{" else 2) * 600)
        connection.send(json.dumps(END))
        events = [json.loads(message) for message in connection if isinstance(message, str)]
    assert events[-1]["type"] == "done"
    assert sum(frames) >= 600
    assert max(frames) <= MAX_IN_A_ROW


def test_a_long_frame_in_small_pieces_is_kept_in_place(denoiser: Denoiser) -> None:
    """Bytes that come one by one cost no copy of what came before."""
    data = pcm(speech(2))
    whole = frame(data[:40_000])
    with running(denoiser) as service, connect_now(service.socket, compression=None) as connection:
        connection.send(json.dumps(START))
        for start in range(0, len(whole), 50):
            connection.socket.sendall(whole[start : start + 50])
        connection.send(json.dumps(END))
        got = b"".join(message for message in connection if isinstance(message, bytes))
    assert got == offline(denoiser, data[:40_000])
