"""No small client fills the service's memory: headers and trailers without end, pongs, fragments, answers unread."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from hostile import ENDLESS, GET, MIB, POST, UPGRADE, Memory, dialled, pour, rest, upgraded
from serving import START, Running, running, wait_for
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gtcrn import Denoiser
from gtcrn_server.load.client import frame

pytestmark = pytest.mark.attack


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
        rest(connection)  # and closes it
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
        wait_for(lambda: not parsed.service.guards)
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
