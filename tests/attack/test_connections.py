"""No small client fills, stops or starves the service: headers, pongs, trickles, stalls, too many of anything."""

import contextlib
import gc
import io
import json
import logging
import socket
import time
import weakref
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import soundfile
from hostile import MIB, UPGRADE, Memory, closed, dialled, pour, rest, trickle
from serving import END, START, Running, running, say, speech, wait_for
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gtcrn import Denoiser, Stream
from gtcrn_server.live import Live
from gtcrn_server.load.client import frame

pytestmark = pytest.mark.attack

POST = b"POST /v1/denoise HTTP/1.1\r\nHost: 127.0.0.1\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
ENDLESS = {
    "one header": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", b"x" * 65_536),
    "many headers": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"X-Y: z\r\n" * 8_192),
    "a path": (b"GET /", b"x" * 65_536),
    "the second request": (GET + b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", b"x" * 65_536),
    "a trailer": (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: ", b"x" * 65_536),
    "many trailers": (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"X-Y: z\r\n" * 8_192),
    "requests ahead": (POST + b"Content-Length: 3\r\n\r\nabc", GET * 1_000),
    "a refused body": (POST.replace(b"denoise", b"no") + b"Content-Length: 1000000000\r\n\r\n", b"x" * 65_536),
}


@pytest.fixture(scope="module", params=[HttpToolsProtocol, H11Protocol], ids=["httptools", "h11"])
def parsed(request: pytest.FixtureRequest, denoiser: Denoiser) -> Iterator[Running]:
    """A service for each of uvicorn's HTTP parsers."""
    with running(denoiser, http=request.param) as service:
        yield service


@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_is_cut_off(parsed: Running, what: str) -> None:
    head, more = ENDLESS[what]
    with Memory() as memory, dialled(parsed.port) as connection:
        connection.sendall(head)
        time.sleep(0.2)  # a request that can be answered is
        assert pour(connection, more, 400 * MIB) < 400 * MIB
        assert closed(connection) or rest(connection) is not None
    assert memory.grown < 20 * MIB
    assert httpx.get(f"{parsed.http}/healthz").status_code == 200


@pytest.mark.parametrize("size", [1_000, 30_000, 40_000, 60_000])
def test_a_header_may_have_32_kib_in_all(parsed: Running, size: int) -> None:
    with dialled(parsed.port) as connection:
        filling = b"".join(b"X-%d: %s\r\n" % (i, b"x" * 990) for i in range(size // 1_000))
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + filling + b"\r\n")
        assert rest(connection)[9:12] == (b"200" if size < 32_768 else b"431")


def test_a_refused_upload_reads_its_answer(denoiser: Denoiser) -> None:
    """The answer comes before the body has gone, and a client that sends on still gets to read it."""
    with running(denoiser, max_body_bytes=1_000) as service, dialled(service.port) as connection:
        connection.sendall(POST + b"Content-Length: 8000000\r\n\r\n" + b"x" * 4_000_000)
        answer = rest(connection)
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"connection: close" in answer.lower()


def audio_file(seconds: float) -> bytes:
    """A WAV file of noise."""
    file = io.BytesIO()
    soundfile.write(file, speech(seconds)[0], 16_000, format="WAV")
    return file.getvalue()


def upgraded(connection: socket.socket) -> None:
    connection.sendall(UPGRADE + b"\r\n")
    assert b" 101 " in connection.recv(1_000)


def test_pings_without_reading(denoiser: Denoiser) -> None:
    with running(denoiser) as service, Memory() as memory, dialled(service.port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        upgraded(connection)
        connection.sendall(frame(json.dumps(START).encode(), 1))
        assert pour(connection, frame(b"x" * 125, 9) * 500, 400 * MIB) < 100 * MIB
        wait_for(lambda: service.service.telemetry.live == 0)
    assert memory.grown < 30 * MIB
    assert service.service.telemetry.rejections["slow_reader"] == 1


def test_pings_after_the_service_has_closed(denoiser: Denoiser) -> None:
    """What a client goes on to send once it was told to leave is not kept either."""
    with running(denoiser) as service, Memory() as memory, dialled(service.port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        upgraded(connection)
        faulty = frame(json.dumps({"type": "nothing"}).encode(), 1) * 20
        assert pour(connection, faulty + frame(b"x" * 125, 9) * 500, 400 * MIB) < 100 * MIB
    assert memory.grown < 30 * MIB


def test_answers_that_nobody_reads(parsed: Running) -> None:
    """One request after the other, each answered: the service stops where the client does not read."""
    with Memory() as memory, dialled(parsed.port, seconds=1) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        with contextlib.suppress(OSError):
            for _ in range(20_000):
                connection.sendall(GET.replace(b"/healthz", b"/app.js"))
                time.sleep(0.0002)
        wait_for(lambda: not parsed.service.guards, 25)
    assert memory.grown < 20 * MIB


def test_a_message_of_endless_fragments(denoiser: Denoiser) -> None:
    empty = b"\x00\x80\0\0\0\0"
    with running(denoiser) as service, Memory() as memory, dialled(service.port) as connection:
        upgraded(connection)
        connection.sendall(frame(json.dumps(START).encode(), 1) + b"\x02\x80\0\0\0\0")
        assert pour(connection, empty * 10_000, 100 * MIB) < 100 * MIB
    assert memory.grown < 20 * MIB


def test_fragments_that_came_in_one_read_are_counted_too(denoiser: Denoiser) -> None:
    with running(denoiser) as service, dialled(service.port) as connection:
        upgraded(connection)
        connection.sendall(frame(json.dumps(START).encode(), 1) + b"\x02\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * 2_000)
        rest(connection)  # and that is all
        wait_for(lambda: service.service.telemetry.live == 0)


@pytest.mark.parametrize("line", [8_000, 9_000, 20_000])
def test_a_handshake_with_a_long_line_is_answered(parsed: Running, line: int) -> None:
    with dialled(parsed.port) as connection:
        connection.sendall(UPGRADE + b"Cookie: " + b"x" * line + b"\r\n\r\n")
        answer = connection.recv(65_536)
        assert answer[9:12] == (b"101" if line < 8_192 else b"431")
    wait_for(lambda: not parsed.service.guards)


BEGINNINGS = {
    "nothing": b"",
    "half a first header": b"GET /healthz HTTP/1.1\r\nHost: 127",
    "half a second header": GET + b"GET /healthz HTTP/1.1\r\nHost: 127",
    "an upload's header": POST + b"Content-Length: 1000\r\n\r\n",
    "half an upload": POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 1_000,
    "half a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n" + b"x" * 1_000,
    "a handshake": UPGRADE,
    "a stream without start": UPGRADE + b"\r\n",
}


@pytest.mark.parametrize("what", BEGINNINGS)
@pytest.mark.parametrize("dripping", [False, True], ids=["silent", "a byte at a time"])
def test_every_phase_has_a_deadline(denoiser: Denoiser, what: str, dripping: bool) -> None:
    with running(denoiser, start_seconds=0.5, idle_seconds=1) as service, dialled(service.port) as connection:
        connection.sendall(BEGINNINGS[what])
        if dripping:
            assert trickle(connection, b"x", 0.05, 15) < 10
        else:
            rest(connection)
        assert httpx.get(f"{service.http}/healthz").status_code == 200
        wait_for(lambda: service.service.files.taken == 0)
        wait_for(lambda: service.service.telemetry.live == 0)
        wait_for(lambda: not service.service.guards)
        assert service.service.connections.taken == 0


def test_a_slow_but_steady_upload_is_served(denoiser: Denoiser) -> None:
    """The rule is a rate: pauses of less than the idle limit are of no account while it holds on average."""
    settings: dict[str, Any] = {"start_seconds": 0.3, "idle_seconds": 1, "min_body_rate": 2_000}
    with running(denoiser, **settings) as service, dialled(service.port) as connection:
        connection.sendall(POST + b"Connection: close\r\nContent-Length: 10000\r\n\r\n")
        for _ in range(10):
            time.sleep(0.2)
            connection.sendall(b"x" * 1_000)
        assert rest(connection).startswith(b"HTTP/1.1 422")


def test_stalled_uploads_leave_places_to_others(denoiser: Denoiser) -> None:
    """Sixteen of one client; another one is served meanwhile, and the first ones' places come back."""
    with running(denoiser, trusted_proxies="", start_seconds=2) as service, contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(dialled(service.port, "127.0.0.2")) for _ in range(16)]
        for connection in stalled:
            connection.sendall(POST + b"Content-Length: 1000\r\n\r\nx")
        wait_for(lambda: service.service.files.taken == 8)
        assert httpx.post(f"{service.http}/v1/denoise", content=b"no audio").status_code == 422
        answers = [rest(connection)[9:12] for connection in stalled]
        assert sorted(answers) == [b"408"] * 8 + [b"503"] * 8
        assert service.service.files.taken == 0


def test_uploads_of_clients_that_go_fill_no_log(denoiser: Denoiser, caplog: pytest.LogCaptureFixture) -> None:
    """Each left a traceback: what was written after the connection had been dropped."""
    ahead = audio_file(seconds=60)
    log = logging.getLogger("uvicorn.error")
    with running(denoiser) as service, contextlib.ExitStack() as after:
        log.addHandler(caplog.handler)
        after.callback(log.removeHandler, caplog.handler)
        for _ in range(10):
            with dialled(service.port) as connection, contextlib.suppress(OSError):
                for _ in range(3):  # nobody reads the first one's answer: the third is over the bound
                    connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(ahead) + ahead)
        wait_for(lambda: service.service.files.taken == 0)
    assert not [record for record in caplog.records if record.exc_info]


def test_connections_are_bounded_in_all_and_for_a_client(denoiser: Denoiser) -> None:
    with running(denoiser, trusted_proxies="", max_connections=20, max_connections_per_client=12) as service:
        with contextlib.ExitStack() as stack:
            for address, held in (("127.0.0.2", 12), ("127.0.0.3", 8)):
                for _ in range(held):
                    stack.enter_context(dialled(service.port, address))
                wait_for(lambda: service.service.connections.taken in (12, 20))
                refused = stack.enter_context(dialled(service.port, address))
                assert rest(refused).startswith(b"HTTP/1.1 503")
            assert service.service.telemetry.rejections["busy"] == 2
        wait_for(lambda: service.service.connections.taken == 0)
        assert httpx.get(f"{service.http}/healthz").status_code == 200


def test_a_proxy_stands_for_many_clients(denoiser: Denoiser) -> None:
    with running(denoiser, max_connections_per_client=2, max_files_per_client=1) as service:
        headers = {"X-Forwarded-For": "192.0.2.7", "Content-Length": "9"}
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(dialled(service.port))
            head = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
            stack.enter_context(dialled(service.port)).sendall(POST + head + b"\r\nx")
            wait_for(lambda: service.service.files.taken == 1)
            for forwarded, status in (("192.0.2.7", 503), ("192.0.2.8", 422)):
                answer = httpx.post(f"{service.http}/v1/denoise", content=b"-", headers={"X-Forwarded-For": forwarded})
                assert answer.status_code == status


def test_who_does_not_close_after_the_last_word_is_dropped(denoiser: Denoiser) -> None:
    with running(denoiser, slow_reader_seconds=0.5) as service, dialled(service.port) as connection:
        upgraded(connection)
        connection.sendall(frame(json.dumps(START).encode(), 1) + frame(json.dumps(END).encode(), 1))
        wait_for(lambda: service.service.telemetry.live == 0)
        wait_for(lambda: not service.service.guards, 15)


LAST: dict[str, list[bytes | dict[str, str]]] = {
    "its end": [END],
    "a fault": [b"\0"],
    "too many faults": [{"type": "nothing"}] * 11,
    "nothing": [],
}


@pytest.mark.parametrize("last", LAST)
def test_what_a_stream_held_goes_with_it(denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    """At once, not when the interpreter looks for cycles: filters of an odd rate are half a megabyte."""
    held: list[weakref.ref[Stream]] = []
    made = Live.__init__

    def noted(self: Live, *args: Any) -> None:
        made(self, *args)
        held.append(weakref.ref(self.stream))

    monkeypatch.setattr(Live, "__init__", noted)
    gc.disable()
    try:
        with running(denoiser, idle_seconds=0.3) as service:
            for _ in range(3):
                say(service.socket, START, b"\0" * 640, *LAST[last])
            wait_for(lambda: service.service.telemetry.live == 0)
            wait_for(lambda: not any(each() for each in held), 2)
    finally:
        gc.enable()
    assert len(held) == 3


def test_streams_live_on_beside_all_of_this(denoiser: Denoiser) -> None:
    with running(denoiser) as service:
        assert say(service.socket, START, b"\0" * 640, END).code == 1000
