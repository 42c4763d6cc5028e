"""A short way for live audio through uvicorn's WebSocket protocol.

A message that is one whole binary frame goes straight from the socket to the stream's `Lane` and its answer straight
back, while the conversation waits for input, the client reads and the audio is due. That saves a parser, a queue, two
flow-control calls and a task switch. Everything else takes uvicorn's way, as does every message under another ASGI
server; what clients see is the same.
"""

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from gtcrn_server.turns import Turns

EXTENSION = "gtcrn.direct"  # in the ASGI scope
FINAL, MASKED, BINARY = 0x80, 0x80, 0x02  # bits of a frame's first two bytes (RFC 6455, 5.2)
LONGEST_HEADER = 14  # bytes
PONG = b"\x8a\x00"  # unasked: it may be sent at any time, and nobody has to answer (RFC 6455, 5.5.3)
MAX_FRAGMENTS = 1_024  # of one message: each costs memory of its own, however short
MAX_IN_A_ROW = 4  # frames of one connection that are looked at in a row: then others have their turn
NEXT_SECONDS = 0.02  # after which its next frames are looked at even while audio of others is due


class Direct:
    """What a conversation leaves for its protocol: a function that gives a frame's answer, or None for the long way."""

    def __init__(self) -> None:
        self.answer: Callable[[bytes | bytearray], bytes | None] | None = None
        self.turns = Turns()


class DirectProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol with the short way, and a bound on what one connection has done in a row.

    What was read is cut into frames here. A conversation is given a message when it has taken the one before; nothing
    is read while whole frames are left, so that a client that is too fast has to wait.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.read_paused = True  # uvicorn need not: `_work` pauses and resumes
        self._paused = False
        self._direct = Direct()
        self._unread: bytes | bytearray = b""  # what was received and not looked at
        self._refused = False  # a frame over the limit has begun: the parser closes
        self._fragmented = False  # the last frame left a message open
        self._waiting = False  # the conversation waits for input
        self._asked = False  # a turn, to go on with what is unread

    def probe(self) -> None:
        """Find out, from time to time, whether a client that is not read from is there: nothing but a write tells.

        Its end of the connection (FIN) waits behind what it sent before; a write to one that is gone fails.
        """
        if self._paused and not self.close_sent and self.writable.is_set():
            self.transport.write(PONG)

    def connection_lost(self, exc: Exception | None) -> None:
        """What was received and not looked at is of no use to anybody."""
        self._unread = b""
        self._direct.turns.drop(self._go_on)
        super().connection_lost(exc)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self._direct

    async def receive(self) -> Any:
        if self._paused:
            self._ask()
        self._waiting = True
        try:
            return await self.queue.get()
        finally:
            self._waiting = False

    async def send(self, message: Any) -> None:
        await super().send(message)
        if not self.close_sent:
            return
        if self._paused:
            self.transport.pause_reading()  # which uvicorn resumes with a close, and `_work` believes it paused
        if self._unread:
            self._ask()  # the client's answer to the close is behind it

    def data_received(self, data: bytes) -> None:
        """The handshake, and what follows a frame over the limit, goes uvicorn's way."""
        if not self.handshake_initiated or self._refused:
            super().data_received(data)
            return
        if self._unread:
            self._unread += data
        else:
            self._unread = data
        if not self._asked:
            self._work()

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            self._direct.turns.ask(self._go_on, NEXT_SECONDS)

    def _go_on(self, idle: bool) -> None:
        self._asked = False
        if not self.disconnected:
            self._work()

    def _work(self) -> None:
        """The next frames, a few at most."""
        data, start, end, left = self._unread, 0, 0, MAX_IN_A_ROW
        self._unread = b""
        while (end := _frame_end(data, start)) and end <= len(data):
            if not left or not (self.answer(frame := data[start:end]) or self._long_way(frame)):
                break
            start, left = end, left - 1
        whole = 0 < end <= len(data)
        self._keep(data, start)
        if whole != self._paused:
            self._paused = whole
            (self.transport.pause_reading if whole else self.transport.resume_reading)()
        if whole and not left:
            self._ask()
        elif not whole and end - start > self.config.ws_max_size + LONGEST_HEADER:
            rest, self._refused = bytes(self._unread), True
            super().data_received(rest)

    def _keep(self, data: bytes | bytearray, start: int) -> None:
        """What is left: in place, as a long frame comes in many pieces."""
        if isinstance(data, bytearray):
            del data[:start]
            self._unread = data
        else:
            self._unread = bytearray(data[start:])

    def answer(self, frame: bytes | bytearray) -> bool:
        """The short way: one frame of audio, if it is no more and nothing is under way that it must not overtake."""
        answer = self._direct.answer
        if answer is None or not self._waiting or self._unread or self._asked or self._fragmented or self.close_sent:
            return False
        if not self.queue.empty() or not self.writable.is_set() or (reply := answer(frame)) is None:
            return False
        self._direct.turns.due += 1
        if reply:
            self.transport.write(reply)
        return True

    def _long_way(self, frame: bytes | bytearray) -> bool:
        """Through the parser to the conversation, unless that has not taken the message before."""
        if not self.queue.empty() and not self.close_sent:
            return False
        if frame[0] & 15 <= BINARY:
            self._fragmented = not frame[0] & FINAL
        super().data_received(bytes(frame))
        if len(self.frames) > MAX_FRAGMENTS:
            self.transport.abort()
            return False
        return True


def _frame_end(data: bytes | bytearray, start: int) -> int:
    """Where the frame that begins at `start` ends; 0 when that cannot be said yet."""
    there = len(data) - start
    if there < 2:
        return 0
    first = data[start + 1]
    length, head = first & 127, 6 if first & MASKED else 2
    if length < 126:
        return start + head + length
    if length == 126:
        return start + head + 2 + (data[start + 2] << 8 | data[start + 3]) if there >= 4 else 0
    return start + head + 8 + int.from_bytes(data[start + 2 : start + 10]) if there >= 10 else 0
