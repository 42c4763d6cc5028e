"""Calls of the load generator: Twilio's side of each, and the bot that the service takes them to."""

import asyncio
import base64
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

from gtcrn.audio import laws
from gtcrn_server.load.client import Client, Plan, frame, split_frames

ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
BUSY = 1013  # the close code of a service that is full
NUMBER = b'"000000000"'  # of a message that has got none yet
MEDIA = re.compile(rb'\{"event": "media", "sequenceNumber": "(\d+)"')  # as the service writes it


class Call(Client):
    """The carrier's side of a call. What became of its messages is told by the bot."""

    @staticmethod
    def wrap(pcm: bytes) -> bytes:
        """Its number is still to come."""
        codes = base64.b64encode(laws.from_pcm16(pcm, "ulaw")).decode()
        told = {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": codes}
        text = {"event": "media", "sequenceNumber": "0" * 9, "media": told, "streamSid": "MZ" + "0" * 32}
        return frame(json.dumps(text).encode(), 1)

    def _message(self) -> bytes:
        return super()._message().replace(NUMBER, b'"%09d"' % self.sent, 1)

    def _start(self) -> dict[str, Any]:
        form = {"encoding": "audio/x-mulaw", "sampleRate": self.plan.sample_rate, "channels": 1}
        return {"event": "start", "start": {"mediaFormat": form}, "streamSid": str(id(self))}

    def _end(self) -> dict[str, Any]:
        return {"event": "stop"}

    def _closed(self, code: int, reason: str) -> None:
        if code == BUSY:
            self._refuse()
        elif reason:
            self._fail(reason)

    def heard(self, text: bytes) -> None:
        """The bot was told this."""
        if found := MEDIA.match(text):
            self._media(int(found[1]))
        elif text.startswith(b'{"event": "start"'):
            self.ready.set_result(True)
        elif text.startswith(b'{"event": "stop"'):
            self._finish()

    def _media(self, number: int) -> None:
        """What is numbered on behind all that was sent is the tail, and answers none of it."""
        if number < self.sent:
            self.came(number)
            self.received += self.plan.chunk
            self.tally.answered += 1


class Bot(asyncio.Protocol):
    """The bot's side of a call, which listens and says nothing."""

    def __init__(self, calls: dict[str, Call]) -> None:
        self._calls = calls
        self._call: Call | None = None
        self._buffer, self._upgraded = bytearray(), False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded and not self._upgrade():
            return
        for opcode, payload in split_frames(self._buffer):
            if opcode == 1:
                self._call = self._call or self._calls[json.loads(payload)["streamSid"]]
                self._call.heard(payload)
            elif opcode in (8, 9):  # a close is answered by a close, a ping by a pong
                self._transport.write(bytes([0x80 | opcode + opcode % 2, len(payload)]) + payload)

    def _upgrade(self) -> bool:
        found = re.search(rb"(?i)sec-websocket-key: *(\S+)(?s:.*?)\r\n\r\n", self._buffer)
        if not found:
            return False
        accept = base64.b64encode(hashlib.sha1(found[1] + ACCEPT).digest()).decode()
        self._transport.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        del self._buffer[: found.end()]
        self._upgraded = True
        return True


@contextlib.asynccontextmanager
async def taking_calls(plan: Plan, clients: Sequence[Client]) -> AsyncIterator[None]:
    """A bot on the plan's port while the block lasts, where the clients are calls."""
    if not plan.bot_port:
        yield
        return
    calls = {str(id(client)): client for client in clients if isinstance(client, Call)}
    server = await asyncio.get_running_loop().create_server(lambda: Bot(calls), plan.host, plan.bot_port)
    async with server:
        yield
