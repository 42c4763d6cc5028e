"""WebSocket /v1/stream. Spoken to ASGI directly: at 50 messages a second and stream, every layer counts."""

import asyncio
import contextlib
import logging
import math
from collections import deque
from dataclasses import asdict
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from gtcrn.errors import GtcrnError
from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.limits import PROTOCOL, Caller, check_key, presented_keys, unknown_query
from gtcrn_server.live import Live
from gtcrn_server.messages import Change, Error, Levels, Mark, Marked, Message, Overloaded, Ready, Reset, Start, parse
from gtcrn_server.service import FAREWELL_SECONDS, Service, leaving
from gtcrn_server.sessions import Session
from gtcrn_server.streams.tokens import read, refuse_too_long, token
from gtcrn_server.transports.direct import EXTENSION, Direct
from gtcrn_server.turns import new_pace

MAX_FAULTS = 10  # bad messages that a connection survives
MAX_MARKS = 1000  # that wait for their audio
ORDER_SECONDS = 0.02  # of audio could be denoised in the time that a message other than audio takes
RESET_SECONDS = 0.1  # and in that of a tail and a new beginning
LEVEL_FRAMES = 6  # from one message of levels to the next
MAX_REASON = 120  # bytes of a close frame's sentence (RFC 6455 allows 123)


class Hangup(Exception):
    """The client is gone."""


class StreamSocket:
    """The ASGI endpoint: one Conversation for each connection."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        offered = scope.get("subprotocols", [])
        await receive()  # websocket.connect
        if self._service.leaving:
            await _refuse(self._service, send)
            return
        await send({"type": "websocket.accept", "subprotocol": PROTOCOL if PROTOCOL in offered else None})
        with contextlib.suppress(Hangup):
            direct = scope.get("extensions", {}).get(EXTENSION) or Direct()
            direct.turns = self._service.turns
            address = self._service.client(scope.get("client"))
            keys, asked = presented_keys(headers, offered), QueryParams(scope.get("query_string", b""))
            await Conversation(self._service, receive, send, direct).run(keys, address, list(asked))


async def _refuse(service: Service, send: Send) -> None:
    """Answer the handshake with 503, on which a load balancer asks another host."""
    told = service.tell(leaving())
    headers = [(b"retry-after", str(service.settings.retry_after).encode()), (b"content-type", b"text/plain")]
    await send({"type": "websocket.http.response.start", "status": told.kind.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": told.message.encode()})


class Conversation:
    """One client from its start message to its close code."""

    def __init__(self, service: Service, receive: Receive, send: Send, direct: Direct) -> None:
        self._service, self._receive, self._send, self._direct = service, receive, send, direct
        self._live: Live | None = None
        self._marks: deque[tuple[int, str | int]] = deque()  # (position in samples, id)
        self._levels_at: float = math.inf  # samples received, at which the levels are told next
        self._faults = 0
        self._orders = new_pace()  # of messages other than audio
        self._owner = ""  # the caller's key, digested
        self._movable = False  # the client asked for tokens
        self._unsent = b""  # audio that has left the stream and not this conversation

    async def run(self, keys: list[str], address: str, asked: list[str]) -> None:
        """Admit, converse, close; what ends it early is told to the client. `asked`: names in the address' query."""
        try:
            caller = Caller(check_key(self._service.settings, keys), address)
            self._owner = caller.key
            if asked:
                raise unknown_query(asked[0], "; options belong into the start message")
            with Session(self._service, "websocket", caller.client) as session:
                try:
                    await session.guard(self._converse(session))
                except GtcrnError as error:
                    await self._fail(error)
        except Hangup:
            raise
        except Exception as error:
            if not isinstance(error, GtcrnError):
                logging.getLogger(__name__).exception("a stream failed")
            await self._fail(error)
        finally:
            self._direct.answer = self._live = None  # a cycle, which would keep the stream until it is looked for

    async def _converse(self, session: Session) -> None:
        start = await self._start()
        self._live = live = await self._open(start, session)
        lane = live.lane
        if start.levels:
            self._levels_at = lane.received + LEVEL_FRAMES * live.frame
        lane.free = free = not start.levels
        session.started = True
        session.lane, self._direct.answer = lane, lane.answer
        await self._say(Ready(**live.description().model_dump(), received=lane.received, sent=lane.sent))
        while True:
            event = await self._next()
            session.touch()
            if (data := event.get("bytes")) is not None:
                await self._hear(live, data)
            elif await self._control(live, event["text"]):
                return
            if session.behind:
                await self._tell_late(session)
            if session.token_due:
                session.token_due = False
                await self._say(token(self._service, live, self._owner))
            lane.free = free and not self._marks

    async def _open(self, start: Start, session: Session) -> Live:
        """The stream that `start` asks for: a new one, or where another was."""
        if start.resume is None:
            live = await self._service.open(start, session.place)
        else:
            live = await self._service.resume(*read(self._service, start.resume, self._owner), session.place)
        if start.tokens is not None:
            refuse_too_long(self._service, live, self._owner)
            session.token_seconds, self._movable = start.tokens, True
        return live

    async def _tell_late(self, session: Session) -> None:
        behind, session.behind = session.behind, 0.0
        self._service.telemetry.overloads += 1
        await self._say(Overloaded(behind_ms=round(1000 * behind, 1)))

    async def _next(self) -> Any:
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            raise Hangup
        return event

    async def _start(self) -> Start:
        text = (await self._next()).get("text")
        if text is None:
            raise ServiceError(Kind.UNEXPECTED, "Audio came before the start message.")
        message = parse(text)
        if not isinstance(message, Start):
            raise ServiceError(Kind.UNEXPECTED, f"The first message must be start, not {message.type}.")
        return message

    async def _hear(self, live: Live, data: bytes) -> None:
        """Audio in, audio out."""
        if len(data) > (limit := self._service.settings.max_message_bytes):
            raise ServiceError(Kind.TOO_LARGE, f"A message may have at most {limit} bytes.")
        async for output in live.feed(data):
            if output:
                await self._sound(live, output)

    async def _sound(self, live: Live, output: bytes) -> None:
        if output:
            self._unsent = output
            await self._emit({"type": "websocket.send", "bytes": output})
            self._unsent = b""
        if live.lane.received >= self._levels_at:
            self._levels_at = live.lane.received + LEVEL_FRAMES * live.frame
            await self._say(Levels(**{name: round(value, 3) for name, value in asdict(live.stream.levels).items()}))
        while self._marks and self._marks[0][0] <= live.lane.sent:
            await self._say(Marked(id=self._marks.popleft()[1]))

    async def _control(self, live: Live, text: str) -> bool:
        """Obey one message in its turn; True after `end`. A bad one is answered and survived, up to MAX_FAULTS."""
        await live.turns.pace(self._orders, ORDER_SECONDS)
        try:
            return await self._obey(live, parse(text))
        except GtcrnError as error:
            self._faults += 1
            if self._faults > MAX_FAULTS:
                raise
            told = self._service.tell(error)
            await self._say(Error(code=told.kind.code, message=told.message))
            return False

    async def _obey(self, live: Live, message: Message) -> bool:
        if isinstance(message, Change):
            live.change(message)
        elif isinstance(message, Mark):
            await self._mark(live, message)
        elif isinstance(message, Reset):
            await live.turns.pace(self._orders, RESET_SECONDS)
            await self._sound(live, await live.reset())
        elif isinstance(message, Start):
            raise ServiceError(Kind.UNEXPECTED, "The stream has been started already.")
        else:
            await self._finish(live)
            await self._close(1000, "")
            return True
        return False

    async def _mark(self, live: Live, mark: Mark) -> None:
        if len(self._marks) >= MAX_MARKS:
            raise ServiceError(Kind.UNEXPECTED, f"{MAX_MARKS} marks wait for their audio already.")
        self._marks.append((live.lane.received, mark.id))
        await self._sound(live, b"")

    async def _finish(self, live: Live) -> None:
        """The tail, the marks that waited for it, and what there is to say about the stream."""
        self._live = None  # once only, whatever breaks in
        await self._sound(live, self._unsent + await live.finish())
        await self._say(live.summary())

    async def _part(self, live: Live) -> None:
        """The last words on a stream that the service ends by itself: its end, or how it goes on elsewhere."""
        self._live = None
        if not self._movable:
            return await self._finish(live)
        await self._sound(live, self._unsent)
        return await self._say(token(self._service, live, self._owner))

    async def _fail(self, error: Exception) -> None:
        """Tell what was wrong and close; a stream that the service ends by itself is not cut off."""
        told = self._service.tell(error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                if self._live and told.kind is Kind.LEAVING:
                    await self._part(self._live)
                elif self._live and told.kind is Kind.TIMEOUT:
                    await self._finish(self._live)
                await self._say(Error(code=told.kind.code, message=told.message))
                await self._close(told.kind.close, told.message)

    async def _say(self, message: Message) -> None:
        await self._emit({"type": "websocket.send", "text": message.model_dump_json()})

    async def _close(self, code: int, reason: str) -> None:
        await self._emit({"type": "websocket.close", "code": code, "reason": reason.encode()[:MAX_REASON].decode()})

    async def _emit(self, event: dict[str, Any]) -> None:
        """Send, once the client reads. Raises Hangup when it is gone."""
        try:
            await self._send(event)
        except (OSError, RuntimeError) as error:  # closed by the client, or by the protocol below
            raise Hangup from error
