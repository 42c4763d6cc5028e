"""The guard before every connection: what it may hold in memory, and for how long each phase of it may last.

It stands between the socket and uvicorn's protocols, HTTP by either parser and WebSocket alike. Three rules:

- Bytes that neither complete a header nor add to a body are bounded: headers, trailers, requests sent ahead.
- Output that nobody reads is bounded: what is written while the client does not read (pongs, refusals) in bytes, the
  wait until it reads again in time.
- Header, lingering and farewell have deadlines. Bodies have theirs in `limits.bounded`, streams in `service.Session`.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.service import Service
from gtcrn_server.transports.direct import DirectProtocol

HEADER_BYTES = 32_768  # of a request, in all
STEP = 4_096  # bytes that are parsed at a time, so that the bound is met to within as many
UNREAD_BYTES = 262_144  # that may be written while the client does not read
LAST_CHUNK = b"0\r\n\r\n"
LINGER_SECONDS = 2.0  # that a client has to read an answer which came before the end of its body
LINGER_BYTES = 16_000_000  # of that body


class Guard(asyncio.Protocol):
    """One connection. `make` makes uvicorn's protocol, which is given an Outlet as its transport."""

    def __init__(self, service: Service, make: Any, app_state: dict[str, Any], **options: Any) -> None:
        self._service = service
        self._inner: Any = make(app_state={**app_state, "guard": self}, **options)
        self._clock = monotonic  # the sweep's
        self._talk: Callable[[bytes], None] | None = None  # what takes the bytes of a WebSocket, since the upgrade,
        self._answer: Callable[[bytes], bool] | None = None  # and what answers them if they are audio that is due
        self.trailers: dict[str, str] = {}  # of the answer under way
        self._useless = 0  # bytes since the last header or piece of a body
        self._header_since: float | None = self._clock()  # a header is awaited, or under way
        self._unread_since: float | None = None  # output waits to be read
        self._unread_bound = 0
        self._lingering: float | None = None  # answered before the end of the body: what comes is ignored, since then

    def connection_made(self, transport: Any) -> None:
        """Refused at once where there are too many of them."""
        self.transport = transport
        self._client = self._service.client(transport.get_extra_info("peername"))
        try:
            self._service.connections.take(self._client)
        except ServiceError as error:
            self._service.tell(error)
            transport.write(_refusal(503, "Service Unavailable", str(error), self._service.settings.retry_after))
            transport.close()
            return
        self._service.guards.add(self)
        self._inner.connection_made(Outlet(self, transport))

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._service.guards:
            self._service.guards.discard(self)
            self._service.connections.give(self._client)
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._answer is not None and self._answer(data):
            return
        if self._talk is not None:
            self._talk(data)
        elif self in self._service.guards:  # else it was refused
            self._read_http(data)
        if self._unread_since is not None and self.transport.get_write_buffer_size() > self._unread_bound:
            self._drop_slow_reader()

    def _read_http(self, data: bytes) -> None:
        if self._header_since is None and not self.body_pending:
            self._header_since = self._clock()
        for start in range(0, len(data), STEP):
            if self.lingering:
                return self._ignore(len(data) - start)
            before = self._progress()
            self._inner.data_received(data[start : start + STEP])
            if self._progress() != before and not getattr(self._inner, "pipeline", None):
                self._useless, self._header_since = 0, None
                continue
            self._useless += min(STEP, len(data) - start)
            if self._useless > HEADER_BYTES:
                return self._refuse_header()
        return None

    def _ignore(self, size: int) -> None:
        self._useless += size
        if self._useless > LINGER_BYTES:
            self.transport.abort()

    def _progress(self) -> tuple[Any, int]:
        """What changes when a header is complete, or some of a body has come."""
        cycle = getattr(self._inner, "cycle", None)
        return (self._inner, cycle), len(cycle.body) if cycle else 0

    @property
    def body_pending(self) -> bool:
        """The request being answered has not come to its end."""
        cycle = getattr(self._inner, "cycle", None)
        return bool(cycle and cycle.more_body)

    @property
    def _answering(self) -> bool:
        cycle = getattr(self._inner, "cycle", None)
        return bool(cycle and not cycle.response_complete)

    def _refuse_header(self) -> None:
        """431 where nothing else is being answered; what then comes is not looked at."""
        error = ServiceError(Kind.HEADER, f"The header of a request may have {HEADER_BYTES} bytes, 8192 a line.")
        self._service.tell(error)
        if self._answering or self.body_pending:
            self.transport.abort()
            return
        self.transport.write(_refusal(431, "Request Header Fields Too Large", str(error)))
        self.linger()

    def linger(self) -> None:
        """Close in a way that lets the client read the answer: what it still sends is ignored for a while."""
        if not self.lingering and not self.transport.is_closing():
            self._lingering, self._talk, self._answer = self._clock(), None, None
            self.transport.write_eof()
            self.transport.resume_reading()

    @property
    def lingering(self) -> bool:
        return self._lingering is not None

    def upgrade(self, protocol: Any) -> None:
        """A WebSocket takes over; it talks to the socket without a detour."""
        self._inner, self._talk, self._header_since = protocol, protocol.data_received, None
        protocol.transport = self.transport
        if isinstance(protocol, DirectProtocol):
            self._answer = protocol.answer
        if not protocol.handshake_initiated:  # its parser takes 8 KB a line and 128 lines, and says nothing beyond
            self._refuse_header()

    def eof_received(self) -> None:
        self._inner.eof_received()

    def pause_writing(self) -> None:
        self._unread_since = self._clock()
        self._unread_bound = self.transport.get_write_buffer_size() + UNREAD_BYTES
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._unread_since = None
        self._inner.resume_writing()

    def sweep(self, now: float) -> None:
        """End the connection if it is over one of its deadlines at the time `now`."""
        settings = self._service.settings
        if isinstance(self._inner, DirectProtocol):
            self._inner.probe()
        if self._unread_since is None and self.transport.is_closing():
            self._unread_since = now  # what was written last is still unread
        if self._header_since is not None and self._answering:
            self._header_since = now  # of the next request: the client waits for this one's answer
        if _over(self._unread_since, now, settings.slow_reader_seconds):
            self._drop_slow_reader()
        elif _over(self._header_since, now, settings.start_seconds) or _over(self._lingering, now, LINGER_SECONDS):
            self.transport.close()

    def _drop_slow_reader(self) -> None:
        seconds = self._service.settings.slow_reader_seconds
        self._service.tell(ServiceError(Kind.SLOW, f"Answers were left unread for {seconds:g} s."))
        self.transport.abort()


class Outlet:
    """The transport as uvicorn's HTTP protocols see it. It puts trailers behind an answer, which uvicorn cannot."""

    def __init__(self, guard: Guard, transport: asyncio.Transport) -> None:
        self._guard, self._transport = guard, transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if data == LAST_CHUNK and (trailers := self._guard.trailers):
            fields = "".join(f"{name}: {value}\r\n" for name, value in trailers.items())
            data, self._guard.trailers = f"0\r\n{fields}\r\n".encode(), {}
        if not self._transport.is_closing():  # uvloop raises, for a client that has just gone, where asyncio drops it
            self._transport.write(data)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._guard.upgrade(protocol)

    def is_closing(self) -> bool:
        return self._guard.lingering or self._transport.is_closing()

    def close(self) -> None:
        if self._guard.body_pending:
            self._guard.linger()
        else:
            self._transport.close()


def _over(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since > seconds


def _refusal(status: int, phrase: str, sentence: str, retry_after: int = 0) -> bytes:
    """A whole answer of one sentence; nothing follows it."""
    retry = f"retry-after: {retry_after}\r\n" if retry_after else ""
    return (
        f"HTTP/1.1 {status} {phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n{retry}"
        f"content-length: {len(sentence)}\r\nconnection: close\r\n\r\n{sentence}"
    ).encode()
