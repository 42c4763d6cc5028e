"""Load generator: many paced streams against a service on this machine, and the table of what came back.

    python -m gtcrn_server.load --streams 100 --seconds 60 --pid $(pgrep -f 'gtcrn serve')

Frames of the WebSocket protocol (RFC 6455) are written by hand and masked with zeros, so that the generator costs
less than what it measures. Bounded: at most 1000 streams, 10 minutes, loopback addresses only.
"""

import asyncio
import base64
import json
import os
import random
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

MAX_STREAMS = 1000
MAX_SECONDS = 600
DISTINCT = 97  # different messages that are sent in turn
LATE_MS = 20.0  # an answer later than this is counted as late


@dataclass(frozen=True)
class Plan:
    """What one run sends. `chunk` is in samples of one channel; `path` is the service's WebSocket."""

    host: str = "127.0.0.1"
    port: int = 8000
    path: str = "/v1/stream"
    streams: int = 100
    seconds: float = 20.0
    sample_rate: int = 16_000  # Hz
    chunk: int = 320

    @property
    def messages(self) -> int:
        """Messages each stream sends."""
        return int(self.seconds * self.sample_rate / self.chunk)

    @property
    def period(self) -> float:
        """Seconds between the messages of one stream."""
        return self.chunk / self.sample_rate


@dataclass
class Tally:
    """What came back, over all streams; times in seconds."""

    delays: list[float] = field(default_factory=list)  # arrival - earliest possible arrival
    lateness: list[float] = field(default_factory=list)  # the generator's own: sent - due
    refused: int = 0
    failed: list[str] = field(default_factory=list)
    missing: int = 0  # samples that never came
    finished: int = 0
    share: float = 0.0  # of a core that the service used
    resident: tuple[int, int] = (0, 0)  # bytes that the service held before the streams were opened and at the end


def frame(payload: bytes, opcode: int = 2) -> bytes:
    """One client frame, masked with zeros."""
    if len(payload) < 126:
        return struct.pack("!BB4x", 0x80 | opcode, 0x80 | len(payload)) + payload
    return struct.pack("!BBH4x", 0x80 | opcode, 0x80 | 126, len(payload)) + payload


def split_frames(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """(opcode, payload) of each whole server frame; what is left stays in `buffer`."""
    while len(buffer) >= 2:
        length, start = buffer[1] & 127, 2
        if length == 126:
            if len(buffer) < 4:
                return
            length, start = int.from_bytes(buffer[2:4]), 4
        if len(buffer) < start + length:
            return
        yield buffer[0] & 15, bytes(buffer[start : start + length])
        del buffer[: start + length]


def speech_like(plan: Plan) -> list[bytes]:
    """Frames of PCM16 noise whose level rises and falls at the rate of syllables."""
    n = DISTINCT * plan.chunk
    envelope = np.abs(np.sin(2 * np.pi * 4 * np.arange(n) / plan.sample_rate))
    samples = (np.random.default_rng(0).standard_normal(n) * envelope * 3000).astype("<i2")
    return [frame(part.tobytes()) for part in np.split(samples, DISTINCT)]


class Client(asyncio.Protocol):
    """One stream: handshake, start, paced messages, end."""

    def __init__(self, plan: Plan, tally: Tally, messages: list[bytes]) -> None:
        self.plan, self.tally, self.messages = plan, tally, messages
        loop = asyncio.get_running_loop()
        self.loop = loop
        self.ready: asyncio.Future[bool] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.buffer = bytearray()
        self.upgraded = False
        self.sent = self.received = self.frame_size = self.latency = 0
        self.offset = random.randrange(DISTINCT)
        self.begin = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self.plan.path} HTTP/1.1\r\nHost: {self.plan.host}:{self.plan.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.upgraded and not self._upgrade():
            return
        for opcode, payload in split_frames(self.buffer):
            if opcode == 2:
                self._audio(len(payload) // 2)
            elif opcode == 1:
                self._event(json.loads(payload))
            elif opcode == 9:
                self.transport.write(frame(payload, 10))
            elif opcode == 8:
                self.transport.write(frame(payload, 8))
                self.transport.close()

    def _upgrade(self) -> bool:
        head, separator, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        if not separator:
            return False
        if b" 101 " not in head:
            self.tally.refused += 1
            self.transport.close()
            return False
        self.buffer, self.upgraded = bytearray(rest), True
        start = {"type": "start", "sample_rate": self.plan.sample_rate, "encoding": "s16le"}
        self.transport.write(frame(json.dumps(start).encode(), 1))
        return True

    def _audio(self, samples: int) -> None:
        self.received += samples
        needed = self.received + self.latency - self.frame_size  # samples the service must have had
        index = -(-needed // self.plan.chunk) - 1
        if 0 <= index < self.sent:
            self.tally.delays.append(self.loop.time() - self.begin - index * self.plan.period)

    def _event(self, event: dict[str, Any]) -> None:
        if event["type"] == "ready":
            self.frame_size, self.latency = event["frame"], event["latency"]
            self.ready.set_result(True)
        elif event["type"] == "done":
            self.tally.finished += 1
            self.tally.missing += self.sent * self.plan.chunk - self.received
        elif event["type"] == "error":
            if event["code"] in ("busy", "overloaded"):
                self.tally.refused += 1
            else:
                self.tally.failed.append(event["message"])

    def begin_at(self, when: float) -> None:
        """Send the first message at `when` (the loop's clock), the others one period apart."""
        self.begin = when
        self.loop.call_at(when, self._tick)

    def _tick(self) -> None:
        due = self.begin + self.sent * self.plan.period
        if self.transport.is_closing():
            return
        if self.sent == self.plan.messages:
            self.transport.write(frame(b'{"type":"end"}', 1))
            return
        self.transport.write(self.messages[(self.offset + self.sent) % DISTINCT])
        self.sent += 1
        self.tally.lateness.append(self.loop.time() - due)
        self.loop.call_at(due + self.plan.period, self._tick)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_result(False)
        self.closed.set_result(None)


async def run(plan: Plan, pid: int = 0) -> Tally:
    """Open all streams, pace them over `plan.seconds`, end them; their phases are spread over one period.

    `pid` is the service's process, whose processor time and memory are measured; 0: neither.
    """
    check(plan)
    loop, tally, messages = asyncio.get_running_loop(), Tally(), speech_like(plan)
    clients = []
    before = resident_bytes(pid)
    for _ in range(plan.streams):
        _, client = await loop.create_connection(lambda: Client(plan, tally, messages), plan.host, plan.port)
        clients.append(client)
    opened = [client for client in clients if await asyncio.wait_for(client.ready, 30)]
    start = loop.time() + 0.5
    measure = asyncio.ensure_future(_measure(plan, tally, pid, before))
    for i, client in enumerate(opened):
        client.begin_at(start + plan.period * i / max(1, len(opened)))
    await asyncio.wait([client.closed for client in clients], timeout=plan.seconds + 30)
    await measure
    return tally


async def _measure(plan: Plan, tally: Tally, pid: int, before: int) -> None:
    """Processor time while all streams run, which is all but the first second."""
    await asyncio.sleep(min(1.0, plan.seconds / 2))
    used, clock = cpu_seconds(pid), time.monotonic()
    await asyncio.sleep(max(0.1, plan.seconds - 1.5))
    tally.share = (cpu_seconds(pid) - used) / (time.monotonic() - clock)
    tally.resident = (before, resident_bytes(pid))


def check(plan: Plan) -> None:
    """Refuse what this tool is not for: other machines, endless or boundless runs."""
    if plan.host not in ("127.0.0.1", "::1", "localhost"):
        raise ValueError(f"host must be a loopback address, not {plan.host}.")
    if not 1 <= plan.streams <= MAX_STREAMS or not 0 < plan.seconds <= MAX_SECONDS:
        raise ValueError(f"streams must be 1 to {MAX_STREAMS} and seconds at most {MAX_SECONDS}.")


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used so far (Linux); 0 for no process."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Memory a process holds (Linux); 0 for no process."""
    if not pid:
        return 0
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def percentiles(seconds: list[float]) -> NDArray[np.float64]:
    """p50, p99 and maximum in ms."""
    values: NDArray[np.float64] = np.percentile(seconds or [float("nan")], [50, 99, 100])
    return values * 1000


def report(plan: Plan, tally: Tally) -> str:
    """One line a figure."""
    p50, p99, worst = percentiles(tally.delays)
    _, own, own_worst = percentiles(tally.lateness)
    grown = tally.resident[1] - tally.resident[0]
    late = sum(delay * 1000 > LATE_MS for delay in tally.delays)
    return (
        f"streams   {plan.streams} asked, {tally.finished} finished, {tally.refused} refused, "
        f"{len(tally.failed)} failed\n"
        f"answers   {len(tally.delays)}, later than {LATE_MS:g} ms: {late}, samples missing: {tally.missing}\n"
        f"delay     p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {worst:.2f} ms "
        f"(of these the generator: p99 {own:.2f} ms, max {own_worst:.2f} ms)\n"
        f"service   {tally.share:.1%} of a core, {1e6 * tally.share * plan.period / plan.streams:.0f} us a message, "
        f"{tally.resident[1] / 2**20:.1f} MiB, {grown / plan.streams / 1024:.0f} KiB a stream"
    )


def main(
    streams: Annotated[int, typer.Option(help="Concurrent streams.")] = 100,
    seconds: Annotated[float, typer.Option(help="Length of the run.")] = 20.0,
    port: Annotated[int, typer.Option(help="Port of the service on this machine.")] = 8000,
    sample_rate: Annotated[int, typer.Option(help="Hz.")] = 16_000,
    chunk_ms: Annotated[float, typer.Option(help="Audio in one message.")] = 20.0,
    pid: Annotated[int, typer.Option(help="Process of the service: its processor time and memory are shown.")] = 0,
) -> None:
    """Load the service on this machine with paced PCM16 streams."""
    plan = Plan(port=port, streams=streams, seconds=seconds, sample_rate=sample_rate)
    plan = Plan(**{**vars(plan), "chunk": round(sample_rate * chunk_ms / 1000)})
    typer.echo(report(plan, asyncio.run(run(plan, pid))))


if __name__ == "__main__":
    typer.run(main)
