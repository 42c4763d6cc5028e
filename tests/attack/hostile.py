"""Hostile clients as raw sockets: what they send, and how a test sees what became of them."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator

from gtcrn_server.load.generator import resident_bytes

MIB = 1 << 20
UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
)


@contextlib.contextmanager
def dialled(port: int, source: str = "127.0.0.1", seconds: float = 20) -> Iterator[socket.socket]:
    """A connection from this address of the machine."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds, source_address=(source, 0)) as connection:
        yield connection


def pour(connection: socket.socket, data: bytes, total: int) -> int:
    """Send `data` over and over, up to `total` bytes; how many went before the service had enough."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < total:
            sent += connection.send(data)
    return sent


def trickle(connection: socket.socket, data: bytes, pause: float, seconds: float) -> float:
    """One byte at a time; the seconds until the service had enough, at most `seconds`."""
    begun = time.monotonic()
    with contextlib.suppress(OSError):
        for i in range(1 << 30):
            if time.monotonic() - begun > seconds or closed(connection):
                break
            connection.send(data[i % len(data) :][:1])
            time.sleep(pause)
    return time.monotonic() - begun


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


class Memory:
    """What this process holds more than when the block began, at the most that was looked at."""

    def __enter__(self) -> "Memory":
        self._before = resident_bytes(os.getpid())
        return self

    def __exit__(self, *_: object) -> None:
        self.grown = resident_bytes(os.getpid()) - self._before
