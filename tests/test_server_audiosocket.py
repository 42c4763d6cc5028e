"""Calls over AudioSocket: denoised at every rate, every sample, and hung up where they should be."""

import asyncio
import contextlib
import socket
import struct
import threading
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from calls import delayed
from commands import PATIENCE
from serving import cut, pcm, running, settings, speech, wait_for

from gtcrn import Denoiser
from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.service import Service
from gtcrn_server.transports.audiosocket import AudioSocket
from gtcrn_server.turns import BURST, LEAST


def packet(kind: int, data: bytes = b"") -> bytes:
    return bytes([kind]) + struct.pack(">H", len(data)) + data


def packets(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        size = data[at + 1] << 8 | data[at + 2]
        found.append((data[at], data[at + 3 : at + 3 + size]))
        at += 3 + size
    assert at == len(data)
    return found


IDENTITY = packet(1, uuid.UUID(int=7).bytes)


class Line:
    """A listener at the bot's end that notes all bytes of one call and says `words` first."""

    def __init__(self, words: bytes = b"") -> None:
        self.heard, self._words = b"", words
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._answer, daemon=True)
        self.thread.start()

    def ended(self) -> None:
        """Waits until the call is over."""
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()

    def _answer(self) -> None:
        self.call, _ = self._listener.accept()
        with self.call, contextlib.suppress(ConnectionError):
            self.call.sendall(self._words)
            while data := self.call.recv(65_536):
                self.heard += data
        self._listener.close()


@contextlib.contextmanager
def asterisk(denoiser: Denoiser, line: Line, **changes: Any) -> Iterator[socket.socket]:
    with running(denoiser, audiosocket_port=0, audiosocket_bot=line.address, **changes) as service:
        app: Any = service.server.config.app
        with socket.create_connection(("127.0.0.1", app.state.audiosocket.port), PATIENCE) as call:
            yield call


def reset(call: socket.socket) -> None:
    """Close it without a farewell (RST)."""
    call.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    call.close()


@pytest.mark.parametrize(("kind", "rate"), [(0x10, 8_000), (0x12, 16_000), (0x15, 44_100), (0x16, 48_000)])
def test_asterisk_is_heard_denoised_at_every_rate(denoiser: Denoiser, kind: int, rate: int) -> None:
    data, size, line = pcm(speech(0.5, sample_rate=rate)), 2 * (rate // 50), Line(packet(0x10, b"\1\2"))
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    with asterisk(denoiser, line) as call:
        audio = [packet(kind, piece) for piece in pieces]
        call.sendall(IDENTITY)
        assert call.recv(100) == packet(0x10, b"\1\2")
        call.sendall(b"".join(audio[:3]) + packet(3, b"5") + b"".join(audio[3:]) + packet(0))
        line.ended()
    heard, wanted = packets(line.heard), delayed(denoiser, data, rate, size)
    assert [each for each, _ in heard] == [1, kind, kind, kind, 3, *[kind] * (len(wanted) // size - 3), 0]
    assert (heard[0], heard[4]) == ((1, uuid.UUID(int=7).bytes), (3, b"5"))
    assert b"".join(part for each, part in heard if each == kind) == wanted


def test_what_is_inside_comes_when_the_rate_changes_and_when_the_line_breaks(denoiser: Denoiser) -> None:
    line, narrow, wide = Line(), pcm(speech(0.1, sample_rate=8_000)), pcm(speech(0.1, seed=1))
    with asterisk(denoiser, line) as call:
        call.sendall(IDENTITY + packet(0x10, narrow) + packet(0x12, wide))
        call.shutdown(socket.SHUT_WR)
        line.ended()
    heard = packets(line.heard)[1:]
    for kind, data, rate in ((0x10, narrow, 8_000), (0x12, wide, 16_000)):
        whole = delayed(denoiser, data, rate, 2)
        assert b"".join(part for each, part in heard if each == kind) == whole
    assert [kind for kind, _ in heard] == [0x10, 0x10, 0x12, 0x12]


@pytest.mark.parametrize("words", [b"", packet(0x10, b"\1\2")], ids=["a bot that listens", "a bot that talks"])
def test_what_was_heard_comes_when_the_line_is_reset(denoiser: Denoiser, words: bytes) -> None:
    """As Asterisk's close resets it while something of the bot's is unread there."""
    line, data = Line(), pcm(speech(0.5))
    with asterisk(denoiser, line) as call:
        call.sendall(IDENTITY)
        wait_for(lambda: len(line.heard) == len(IDENTITY))
        call.sendall(b"".join(packet(0x12, piece) for piece in cut(data, (640,))))
        reset(call)
        line.call.sendall(words)
        line.ended()
    assert b"".join(part for _, part in packets(line.heard)[1:]) == delayed(denoiser, data, 16_000, 640)


def test_who_is_gone_at_once_is_no_failure(denoiser: Denoiser, caplog: pytest.LogCaptureFixture) -> None:
    """Its address cannot be asked for any more."""
    service = Service(settings(), denoiser)
    reading: Any = None
    writer: Any = SimpleNamespace(get_extra_info=lambda _: None, close=lambda: None)
    asyncio.run(AudioSocket(service)._serve(reading, writer))
    assert not caplog.records


def test_a_call_that_the_service_ends_has_its_last_words(denoiser: Denoiser) -> None:
    line, data = Line(), pcm(speech(0.1))
    with asterisk(denoiser, line, idle_seconds=0.5) as call:
        call.sendall(IDENTITY + packet(0x12, data))
        assert call.recv(10) == packet(0)
        line.ended()
    assert b"".join(part for _, part in packets(line.heard)[1:]) == delayed(denoiser, data, 16_000, 2)


@pytest.mark.parametrize("first", [packet(0x10, bytes(320)), packet(1, b"short")], ids=["audio", "short"])
def test_a_call_without_its_identity_is_hung_up(denoiser: Denoiser, first: bytes) -> None:
    with asterisk(denoiser, Line()) as call:
        call.sendall(first)
        assert call.recv(10) == packet(0)
        assert call.recv(10) == b""


def test_half_a_sample_and_strangers_are_hung_up(denoiser: Denoiser) -> None:
    with asterisk(denoiser, Line()) as call:
        call.sendall(IDENTITY + packet(0x10, b"\0"))
        assert call.recv(10) == packet(0)
    with asterisk(denoiser, Line(), audiosocket_clients="192.0.2.1, 192.0.2.128/25") as call:
        assert call.recv(10) == packet(0)


def test_an_address_of_ipv6_lets_in_no_neighbours(denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a network does, and an IPv4 address by a socket of IPv6."""
    reading: Any = None

    def told(peer: str, clients: str) -> bool:
        service = Service(settings(audiosocket_clients=clients), denoiser)
        writer: Any = SimpleNamespace(get_extra_info=lambda _: (peer, 5000), write=lambda _: None, close=lambda: None)
        monkeypatch.setattr(service, "admit", refuse)
        asyncio.run(AudioSocket(service)._serve(reading, writer))
        return service.telemetry.rejections["unauthorized"] == 0

    def refuse(*_: str) -> NoReturn:
        raise ServiceError(Kind.BUSY, "who comes so far may call.")

    assert told("2001:db8::1", "2001:db8::1")
    assert not told("2001:db8::2", "2001:db8::1")
    assert told("2001:db8::2", "2001:db8::/64")
    assert told("::ffff:192.0.2.1", "192.0.2.1")
    assert not told("::ffff:192.0.2.2", "192.0.2.1")


def test_messages_without_audio_have_their_turns(denoiser: Denoiser) -> None:
    """A buffer full of the shortest does not keep the event loop from others."""
    line, digits = Line(), 10 * BURST / LEAST
    with running(denoiser, audiosocket_port=0, audiosocket_bot=line.address) as service:
        app: Any = service.server.config.app
        with socket.create_connection(("127.0.0.1", app.state.audiosocket.port), PATIENCE) as call:
            call.sendall(IDENTITY + packet(3) * int(digits) + packet(0))
            line.ended()
        assert service.service.turns.due >= BURST / LEAST  # the others had a turn when nothing else was due
    assert len(packets(line.heard)) == digits + 2


def test_who_says_nothing_is_hung_up(denoiser: Denoiser) -> None:
    with asterisk(denoiser, Line(), start_seconds=0.3) as call:
        assert call.recv(10) == packet(0)


def test_the_bot_may_hang_up(denoiser: Denoiser) -> None:
    with asterisk(denoiser, Line(packet(0))) as call:
        call.sendall(IDENTITY)
        assert call.recv(10) == packet(0)
        assert call.recv(10) == b""
