"""Hostile clients as raw sockets: what they send, and how a test sees what became of them."""

import contextlib
import itertools
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from commands import PATIENCE

MIB = 1 << 20
UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
)
POST = b"POST /v1/denoise HTTP/1.1\r\nHost: 127.0.0.1\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
ENDLESS = {  # how it begins, and what is sent over and over
    "one header": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", b"x" * 65_536),
    "many headers": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"X-Y: z\r\n" * 8_192),
    "a path": (b"GET /", b"x" * 65_536),
    "the second request": (GET + b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", b"x" * 65_536),
    "a trailer": (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: ", b"x" * 65_536),
    "many trailers": (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"X-Y: z\r\n" * 8_192),
    "requests ahead": (POST + b"Content-Length: 3\r\n\r\nabc", GET * 1_000),
    "a refused body": (POST.replace(b"denoise", b"no") + b"Content-Length: 1000000000\r\n\r\n", b"x" * 65_536),
}


@contextlib.contextmanager
def dialled(port: int, source: str = "127.0.0.1", seconds: float = PATIENCE) -> Iterator[socket.socket]:
    """A connection from this address of the machine."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds, source_address=(source, 0)) as connection:
        yield connection


def upgraded(connection: socket.socket) -> None:
    connection.sendall(UPGRADE + b"\r\n")
    assert b" 101 " in connection.recv(1_000)


def pour(connection: socket.socket, data: bytes, total: int) -> int:
    """Send `data` over and over, up to `total` bytes; how many went before the service had enough."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < total:
            sent += connection.send(data)
    return sent


def trickle(connection: socket.socket, data: bytes, pause: float, seconds: float = PATIENCE) -> bool:
    """One byte at a time; whether the service has had enough before so many seconds."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(OSError):
        for byte in itertools.cycle(data):
            if closed(connection) or time.monotonic() > deadline:
                return closed(connection)
            connection.send(bytes([byte]))
            time.sleep(pause)
    return True


def closed(connection: socket.socket) -> bool:
    """The service has closed its side, or dropped the connection; what it said stays to be read."""
    seconds = connection.gettimeout()
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(seconds)


def rest(connection: socket.socket) -> bytes:
    """All that the service says until it closes."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65_536):
            said += piece
    return said


def in_a_sentence(error: Exception) -> None:
    """What refuses bad data ends with a full stop, on one line."""
    assert str(error).endswith(".")
    assert "\n" not in str(error)


def peak_bytes(pid: int | str) -> int:
    """The most that the process has held at any time; the system keeps it."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[0]) * 1024


class Memory:
    """What this process, which is the service too, holds at the most within the block beyond what it held before."""

    def __enter__(self) -> "Memory":
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew, at what is held now
        self._before = peak_bytes("self")
        return self

    def __exit__(self, *_: object) -> None:
        self.grown = peak_bytes("self") - self._before
