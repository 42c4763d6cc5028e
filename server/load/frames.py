"""REST frames: how long an answer takes, and what it costs the processes behind it.

    python -m gtcrn_server.load.frames --port 8000 --port 8001 --pid $(pgrep -of 'gtcrn serve')

Each stream is opened at the first port and sends 20 ms of 16 kHz PCM16 as soon as the frame before is answered: at the
last port, so that two hosts with one Redis show what forwarding costs. Loopback addresses only.
"""

import asyncio
import time
from typing import Annotated

import numpy as np
import typer

from gtcrn_server.load.generator import cpu_seconds, percentiles

HOST = "127.0.0.1"
BYTES = 640  # of a frame
MOST_STREAMS = 200


class Connection:
    """HTTP/1.1 by hand, which costs less than what it measures."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[str, bytes]:
        """The header and the body of the answer. Raises RuntimeError for one that is no success."""
        line = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(line.encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(each[15:]) for each in head.lower().split("\r\n") if each.startswith("content-length:"))
        answer = await self._reader.readexactly(length)
        if not head.startswith("HTTP/1.1 2"):
            raise RuntimeError(answer.decode())
        return head, answer


async def stream(ports: list[int], until: float, seed: int) -> list[float]:
    """Seconds that each frame of one stream took."""
    body = np.random.default_rng(seed).integers(-3000, 3000, BYTES // 2).astype("<i2").tobytes()
    took: list[float] = []
    async with Connection(ports[0]) as opener, Connection(ports[-1]) as sender:
        head, _ = await opener.ask("POST", "/v1/streams")
        path = next(line[10:] for line in head.split("\r\n") if line.lower().startswith("location:"))
        while (begun := time.monotonic()) < until:
            await sender.ask("POST", f"{path}/frames?sequence={len(took)}", body)
            took.append(time.monotonic() - begun)
        await sender.ask("DELETE", path)
    return took


async def run(ports: list[int], streams: int, seconds: float, pids: list[int]) -> str:
    """One line: frames a second, times of an answer, processor time a frame of each process."""
    used = [cpu_seconds(pid) for pid in pids]
    until = time.monotonic() + seconds
    took = sum(await asyncio.gather(*(stream(ports, until, i) for i in range(streams))), list[float]())
    p50, p99, worst = percentiles(took)
    costs = (f"{1e6 * (cpu_seconds(pid) - before) / len(took):.0f}" for pid, before in zip(pids, used, strict=True))
    figures = f"{len(took) / seconds:.0f} frames/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms, longest {worst:.1f} ms"
    return f"{streams} streams: {figures}; us of processor a frame: {', '.join(costs) or 'not asked for'}"


def main(
    port: Annotated[list[int], typer.Option(help="Ports of services on this machine.")],
    pid: Annotated[list[int] | None, typer.Option(help="Processes whose processor time is shown.")] = None,
    streams: Annotated[int, typer.Option(min=1, max=MOST_STREAMS)] = 1,
    seconds: Annotated[float, typer.Option(min=0.1, max=600)] = 10.0,
) -> None:
    """Measure REST frames, one after another in each stream."""
    typer.echo(asyncio.run(run(port, streams, seconds, pid or [])))


if __name__ == "__main__":
    typer.run(main)
