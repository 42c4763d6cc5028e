"""One client of the load generator: a paced stream, and what it counts.

Frames of the WebSocket protocol (RFC 6455) are written by hand and masked with zeros, so that the generator costs
less than what it measures.
"""

import asyncio
import base64
import json
import math
import os
import random
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast


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
    bot_port: int = 0  # of calls, where they go to; 0: streams

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
    answered: float = 0.0  # messages, by the audio that came back
    share: float = 0.0  # of a core that the service used
    cost: float = math.nan  # processor time of the service for each message that it answered
    resident: tuple[int, int] = (0, 0)  # bytes that the service held before the streams were opened and at the end


def frame(payload: bytes, opcode: int = 2) -> bytes:
    """One client frame, masked with zeros."""
    if len(payload) < 126:
        return struct.pack("!BB4x", 0x80 | opcode, 0x80 | len(payload)) + payload
    if len(payload) < 1 << 16:
        return struct.pack("!BBH4x", 0x80 | opcode, 0x80 | 126, len(payload)) + payload
    return struct.pack("!BBQ4x", 0x80 | opcode, 0x80 | 127, len(payload)) + payload


def split_frames(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """(opcode, payload) of each whole frame, masked or not; what is left stays in `buffer`."""
    while len(buffer) >= 2:
        length, start = buffer[1] & 127, 2
        if length > 125:
            start = 4 if length == 126 else 10
            if len(buffer) < start:
                return
            length = int.from_bytes(buffer[2:start])
        key = 4 * (buffer[1] >> 7)  # bytes of it
        end = start + key + length
        if len(buffer) < end:
            return
        payload = bytes(buffer[start + key : end])
        yield buffer[0] & 15, _unmasked(payload, bytes(buffer[start : start + key])) if key else payload
        del buffer[:end]


def _unmasked(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(mask)).to_bytes(size)


class Client(asyncio.Protocol):
    """One stream: handshake, start, paced messages, end."""

    def __init__(self, plan: Plan, tally: Tally, messages: Sequence[bytes]) -> None:
        self.plan, self.tally, self.messages = plan, tally, messages
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[bool] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.buffer = bytearray()
        self.upgraded = self.told = False  # told: what became of it
        self.sent = self.received = self.frame_size = self.latency = 0
        self.offset = random.randrange(len(messages))
        self.begin = 0.0

    @staticmethod
    def wrap(pcm: bytes) -> bytes:
        """PCM16 as a message."""
        return frame(pcm)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
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
                self._closed(int.from_bytes(payload[:2]), payload[2:].decode())
                self.transport.write(frame(payload, 8))
                self.transport.close()

    def _upgrade(self) -> bool:
        head, separator, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        if not separator:
            return False
        if b" 101 " not in head:
            self._refuse()
            self.transport.close()
            return False
        self.buffer, self.upgraded = bytearray(rest), True
        self.transport.write(frame(json.dumps(self._start()).encode(), 1))
        return True

    def _start(self) -> dict[str, Any]:
        return {"type": "start", "sample_rate": self.plan.sample_rate, "encoding": "s16le"}

    def _end(self) -> dict[str, Any]:
        return {"type": "end"}

    def _audio(self, samples: int) -> None:
        self.received += samples
        self.tally.answered += samples / self.plan.chunk
        needed = self.received + self.latency - self.frame_size  # samples the service must have had
        self.came(-(-needed // self.plan.chunk) - 1)

    def came(self, index: int) -> None:
        """What could be made of the messages up to this one is here."""
        if 0 <= index < self.sent:
            self.tally.delays.append(time.monotonic() - self.begin - index * self.plan.period)

    def _closed(self, code: int, reason: str) -> None:
        """A stream's service has told before it closes."""

    def _event(self, event: dict[str, Any]) -> None:
        if event["type"] == "ready":
            self.frame_size, self.latency = event["frame"], event["latency"]
            self.ready.set_result(True)
        elif event["type"] == "done":
            self._finish()
        elif event["type"] == "error":
            if event["code"] in ("busy", "overloaded"):
                self._refuse()
            else:
                self._fail(event["message"])

    @property
    def _missing(self) -> int:
        """Samples of what was sent that have not come."""
        return self.sent * self.plan.chunk - self.received

    def _refuse(self) -> None:
        self.tally.refused += 1
        self.told = True

    def _fail(self, why: str) -> None:
        self.tally.failed.append(why)
        self.told = True

    def _finish(self) -> None:
        self.tally.finished += 1
        self.tally.missing += self._missing
        self.told = True

    @property
    def due(self) -> float:
        """When the next message is to be sent (`time.monotonic`)."""
        return self.begin + self.sent * self.plan.period

    def _message(self) -> bytes:
        """The message to be sent."""
        return self.messages[(self.offset + self.sent) % len(self.messages)]

    def step(self) -> bool:
        """Send the next message, or the end; whether there is more to send."""
        if self.transport.is_closing():
            return False
        if self.sent == self.plan.messages:
            self.transport.write(frame(json.dumps(self._end()).encode(), 1))
            return False
        self.tally.lateness.append(time.monotonic() - self.due)
        self.transport.write(self._message())
        self.sent += 1
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_result(False)
        if not self.told:
            self._fail("The connection was lost.")
            self.tally.missing += self._missing
        self.closed.set_result(None)
