"""Asterisk's AudioSocket: a TCP port beside HTTP's, between Asterisk and the bot that the settings name.

A message is a kind (1 byte), a length (2, big-endian) and so many bytes. All go on as they came, in their order,
but that signed linear audio from Asterisk (kinds 0x10 to 0x18, 8 to 192 kHz) is denoised, a constant delay late, to
the last sample. There are no keys in this protocol, so addresses say who may call.
"""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import AsyncIterator
from functools import partial

from gtcrn.errors import GtcrnError
from gtcrn_server.addresses import Addresses
from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.messages import Options
from gtcrn_server.service import Service
from gtcrn_server.sessions import Session
from gtcrn_server.sockets import listen
from gtcrn_server.transports.call import Voice, in_time, reaching_the_bot, until_one_leaves, with_last_words
from gtcrn_server.turns import new_pace

HEADER = struct.Struct("!BH")
HANGUP, IDENTITY, FAULT = 0x00, 0x01, 0xFF
RATES = dict(zip(range(0x10, 0x19), (8, 12, 16, 24, 32, 44.1, 48, 96, 192), strict=True))  # kHz, by kind


class Heard(asyncio.StreamReader):
    """Keeps what came before a connection broke: asyncio's own reader drops it where the end is an error (RST)."""

    def set_exception(self, exc: Exception) -> None:
        self.feed_eof()


class AudioSocket:
    """The listener: one call for each connection."""

    def __init__(self, service: Service) -> None:
        self._service, self._clients = service, Addresses(service.settings.audiosocket_clients)
        self.bound: socket.socket | None = None  # to listen on, where it is open already: workers share it
        self.port = 0  # that it listens on, once it does

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen, where the settings say so, until the block ends."""
        settings = self._service.settings
        if settings.audiosocket_port is None:
            yield
            return
        bound = self.bound or listen(settings.host, settings.audiosocket_port)
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: asyncio.StreamReaderProtocol(Heard(), self._serve), sock=bound)
        self.port = listener.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, whatever becomes of it."""
        try:
            await self._admit(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # one of the two is gone
        except Exception as error:
            if not isinstance(error, GtcrnError):
                logging.getLogger(__name__).exception("a call failed")
            self._service.tell(error)
            writer.write(HEADER.pack(HANGUP, 0))
        finally:
            writer.close()

    async def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        service, peer = self._service, writer.get_extra_info("peername")
        if not peer:  # gone before it could be asked who it was
            return
        if peer[0] not in self._clients:
            raise ServiceError(Kind.UNAUTHORIZED, "This address is not among GTCRN_AUDIOSOCKET_CLIENTS.")
        address = service.client(peer)
        service.connections.take(address)
        try:
            with Session(service, "audiosocket", address) as session:
                await session.guard(Exchange(service, session).run(reader, writer))
        finally:
            service.connections.give(address)


class Exchange:
    """One call."""

    def __init__(self, service: Service, session: Session) -> None:
        self._service, self._session = service, session
        self._messages = new_pace()  # of all of them, beside that of the audio in some
        self._kind = -1  # of the audio so far
        self._voice: Voice | None = None

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind, identity = await _read(reader)
        if kind != IDENTITY or len(identity) != 16:
            raise ServiceError(Kind.UNEXPECTED, "A call must begin with its UUID.")
        host, _, port = str(self._service.settings.audiosocket_bot).rpartition(":")
        with reaching_the_bot():
            async with in_time(self._service, "The bot did not answer"):
                bot_reader, bot_writer = await asyncio.open_connection(host.strip("[]"), int(port))
        self._session.started = True
        try:
            await self._write(bot_writer, kind, identity)
            async with with_last_words(partial(self._finish, bot_writer)):
                await until_one_leaves(self._caller(reader, bot_writer), self._bot(bot_reader, writer))
        finally:
            bot_writer.close()

    async def _caller(self, reader: asyncio.StreamReader, bot: asyncio.StreamWriter) -> None:
        """What Asterisk says, to the bot, to the last sample."""
        last = await self._listen(reader, bot)
        await self._finish(bot)
        if last:
            await self._write(bot, *last)

    async def _listen(self, reader: asyncio.StreamReader, bot: asyncio.StreamWriter) -> tuple[int, bytes] | None:
        """Until the call ends, by the message that is returned or by a connection that is closed."""
        with contextlib.suppress(EOFError):
            while True:
                kind, data = await _read(reader)
                self._session.touch()
                await self._service.turns.pace(self._messages, 0.0)
                if kind in (HANGUP, FAULT):
                    return kind, data
                await self._write(bot, kind, await self._clean(kind, data, bot) if kind in RATES else data)
        return None

    async def _bot(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            kind, data = await _read(reader)
            with contextlib.suppress(ConnectionError):  # a caller who is gone is still heard to the last sample
                await self._write(writer, kind, data)
            if kind == HANGUP:
                return

    async def _clean(self, kind: int, data: bytes, bot: asyncio.StreamWriter) -> bytes:
        """Denoised; a call whose audio is of another rate than before begins anew."""
        if kind != self._kind or self._voice is None:
            await self._finish(bot)
            options = Options(sample_rate=round(1000 * RATES[kind]))
            self._voice, self._kind = Voice(await self._service.open(options, self._session.place)), kind
        return await self._voice(data)

    async def _finish(self, bot: asyncio.StreamWriter) -> None:
        """What is still inside of the voice, to the bot."""
        for piece in await self._voice.tail() if self._voice else ():
            await self._write(bot, self._kind, piece)

    async def _write(self, writer: asyncio.StreamWriter, kind: int, data: bytes) -> None:
        """Raises ServiceError where the other side leaves too much unread for too long."""
        writer.write(HEADER.pack(kind, len(data)) + data)
        seconds = self._service.settings.slow_reader_seconds
        try:
            async with asyncio.timeout(seconds):
                await writer.drain()
        except TimeoutError as error:
            raise ServiceError(Kind.SLOW, f"Audio was left unread for {seconds:g} s.") from error


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    kind, length = HEADER.unpack(await reader.readexactly(HEADER.size))
    return kind, await reader.readexactly(length)
