"""How much memory the service takes under each attack: `PYTHONPATH=tests python tests/attack/memory.py`, Linux only.

A service of its own for each attack, as many seconds long as the first argument says (5); the system keeps the peak.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import httpx
from hostile import ENDLESS, MIB, UPGRADE, dialled, peak_bytes, pour

from gtcrn_server.load.client import frame
from gtcrn_server.load.hostile import ATTACKS, besiege

START_SECONDS = 30.0
POUR_BYTES = 400 * MIB
UNREAD = {  # what is sent without end by a client that reads nothing: behind a handshake
    "pings, unread": frame(b"x" * 125, 9) * 500,
    "fragments": b"\x02\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * 10_000,
}


@contextlib.contextmanager
def service(port: int) -> Iterator[int]:
    """A service on this port; its process."""
    environment = {**os.environ, "GTCRN_PORT": str(port)}
    with subprocess.Popen(
        [sys.executable, "-m", "gtcrn", "serve"], env=environment, stdout=subprocess.DEVNULL
    ) as child:
        try:
            _await_ready(f"http://127.0.0.1:{port}/readyz")
            yield child.pid
        finally:
            child.kill()


def _await_ready(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url).status_code == 200:
                return
        time.sleep(0.1)
    raise TimeoutError(f"{url} is not there")


def endless(head: bytes, more: bytes) -> Callable[[int, float], None]:
    """A request that never ends, again and again."""

    def attack(port: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), dialled(port, seconds=1) as connection:
                connection.sendall(head)
                time.sleep(0.2)  # a request that can be answered is
                pour(connection, more, POUR_BYTES)

    return attack


def named(name: str) -> Callable[[int, float], None]:
    """A hostile client of the load generator."""

    def attack(port: int, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            asyncio.run(asyncio.wait_for(besiege(name, port), seconds))

    return attack


def attacks() -> dict[str, Callable[[int, float], None]]:
    begun = UPGRADE + b"\r\n"
    opened = frame(json.dumps({"type": "start"}).encode(), 1)
    return (
        {"nobody": lambda port, seconds: time.sleep(seconds)}
        | {name: named(name) for name in ATTACKS}
        | {name: endless(head, more) for name, (head, more) in ENDLESS.items()}
        | {name: endless(begun, opened + data) for name, data in UNREAD.items()}
    )


def main(seconds: float) -> None:
    """One line an attack."""
    for number, (name, attack) in enumerate(attacks().items()):
        port = 18_100 + number
        with service(port) as pid:
            before = peak_bytes(pid)
            attack(port, seconds)
            print(f"| {name} | {before / MIB:.0f} MiB | {peak_bytes(pid) / MIB:.0f} MiB |", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if sys.argv[1:] else 5.0)
