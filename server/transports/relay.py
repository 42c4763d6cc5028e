"""A call over two WebSockets: what brings the caller, in a dialect of its own, and the bot that the settings name.

Every message goes on as it came, in its order, but that the audio of the caller is denoised, a constant delay late.
What is inside when the caller leaves goes to the bot before it is told of the end.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from gtcrn.errors import GtcrnError
from gtcrn_server.admission import CALL_WEIGHT
from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.limits import Caller, check_key, presented_keys, unknown_query
from gtcrn_server.messages import Options
from gtcrn_server.service import FAREWELL_SECONDS, Service
from gtcrn_server.sessions import Session
from gtcrn_server.transports.call import Voice, in_time, reaching_the_bot, until_one_leaves, with_last_words
from gtcrn_server.transports.direct import EXTENSION, Direct
from gtcrn_server.transports.websocket import MAX_REASON, Hangup
from gtcrn_server.turns import new_pace

Message = str | bytes


@dataclass(frozen=True)
class Opening:
    """What the messages up to the first audio say."""

    messages: list[Message]  # for the bot
    rate: int  # Hz
    law: str  # of gtcrn.audio.laws; empty: PCM16
    keys: list[str] = field(default_factory=list)


class Dialect(Protocol):
    """How one kind of caller's messages carry audio; one object a call."""

    name: str
    binary: bool  # whether messages may be bytes
    subprotocol: str | None  # that both sides may agree on

    async def open(self, receive: Callable[[], Awaitable[Message]]) -> Opening:
        """Take messages until the form of the audio is known. Raises ServiceError for one that is not served."""

    async def hear(self, message: Message, voice: Voice) -> Message | None:
        """The message for the bot; None for the one that ends the call."""

    def end(self, pieces: list[bytes], last: Message | None) -> list[Message]:
        """More audio, and the message that ended the call, where one did."""


class RelaySocket:
    """The ASGI endpoint of one dialect: one Relay for each connection."""

    def __init__(self, service: Service, dialect: Callable[[], Dialect], bot: str) -> None:
        self._service, self._dialect, self._bot = service, dialect, bot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        dialect, offered = self._dialect(), scope.get("subprotocols", [])
        agreed = dialect.subprotocol if dialect.subprotocol in offered else None
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "subprotocol": agreed})
        keys, asked = presented_keys(Headers(scope=scope), offered), QueryParams(scope.get("query_string", b""))
        direct = scope.get("extensions", {}).get(EXTENSION) or Direct()
        direct.turns = self._service.turns
        with contextlib.suppress(Hangup):
            relay = Relay(self._service, dialect, self._bot, agreed, receive, send)
            await relay.run(keys, self._service.client(scope.get("client")), list(asked))


class Relay:
    """One call from its first message to its end."""

    def __init__(
        self, service: Service, dialect: Dialect, bot: str, agreed: str | None, receive: Receive, send: Send
    ) -> None:
        self._service, self._dialect, self._receive, self._send = service, dialect, receive, send
        self._bot, self._agreed = bot, agreed
        self._messages = new_pace()  # of all of them, beside that of the audio in some

    async def run(self, keys: list[str], address: str, asked: list[str]) -> None:
        """Admit, connect the two, close; the code and reason of the close say what ended it early."""
        try:
            if asked:
                raise unknown_query(asked[0])
            async with in_time(self._service, "No start message came"):
                opening = await self._dialect.open(self._next)
            caller = Caller(check_key(self._service.settings, [*keys, *opening.keys]), address)
            with Session(self._service, self._dialect.name, caller.client) as session:
                await session.guard(self._connect(session, opening))
        except (Hangup, OSError):
            raise Hangup from None
        except Exception as error:
            if not isinstance(error, GtcrnError):
                logging.getLogger(__name__).exception("a call failed")
            await self._fail(error)

    async def _connect(self, session: Session, opening: Opening) -> None:
        voice = Voice(await self._service.open(Options(sample_rate=opening.rate), session.place), opening.law)
        session.place.take(CALL_WEIGHT)
        with reaching_the_bot():
            bot = await self._reach()
        session.started = True
        try:
            for message in opening.messages:
                await bot.send(message)
            async with with_last_words(partial(self._finish, voice, bot, None)):
                await until_one_leaves(self._caller(session, voice, bot), self._answer(bot))
        except ConnectionClosed:
            pass  # by the bot, while something was on its way to it
        finally:
            await bot.close()
        await self._close(1000, "")

    async def _reach(self) -> ClientConnection:
        settings = self._service.settings
        return await connect(
            self._bot,
            open_timeout=settings.start_seconds,
            close_timeout=1,
            max_size=settings.max_message_bytes,
            compression=None,
            subprotocols=[Subprotocol(self._agreed)] if self._agreed else None,
        )

    async def _caller(self, session: Session, voice: Voice, bot: ClientConnection) -> None:
        """What the caller says, to the bot, to the last sample."""
        await self._finish(voice, bot, await self._listen(session, voice, bot))

    async def _finish(self, voice: Voice, bot: ClientConnection, last: Message | None) -> None:
        for message in self._dialect.end(await voice.tail(), last):
            await bot.send(message)

    async def _listen(self, session: Session, voice: Voice, bot: ClientConnection) -> Message | None:
        """Until the call ends, by the message that is returned or by a connection that is closed."""
        with contextlib.suppress(Hangup):
            while True:
                message = await self._next()
                session.touch()
                await self._service.turns.pace(self._messages, 0.0)
                if (heard := await self._dialect.hear(message, voice)) is None:
                    return message
                await bot.send(heard)
        return None

    async def _answer(self, bot: ClientConnection) -> None:
        """What the bot says, unchanged, to the caller; one who is gone is still heard to the last sample."""
        async for message in bot:
            with contextlib.suppress(Hangup):
                if isinstance(message, str):
                    await self._emit({"type": "websocket.send", "text": message})
                elif self._dialect.binary:
                    await self._emit({"type": "websocket.send", "bytes": message})

    async def _next(self) -> Message:
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            raise Hangup
        text: str | None = event.get("text")
        message: Message = event["bytes"] if text is None else text
        if text is None and not self._dialect.binary:
            raise ServiceError(Kind.UNEXPECTED, "A carrier's messages are text.")
        if len(message) > (limit := self._service.settings.max_message_bytes):
            raise ServiceError(Kind.TOO_LARGE, f"A message may have at most {limit} bytes.")
        return message

    async def _fail(self, error: Exception) -> None:
        told = self._service.tell(error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._close(told.kind.close, told.message)

    async def _close(self, code: int, reason: str) -> None:
        await self._emit({"type": "websocket.close", "code": code, "reason": reason.encode()[:MAX_REASON].decode()})

    async def _emit(self, event: dict[str, object]) -> None:
        try:
            await self._send(event)
        except (OSError, RuntimeError) as error:
            raise Hangup from error
