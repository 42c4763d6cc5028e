"""WebSockets /v1/twilio and /v1/telnyx: media streams of calls, between the carrier and the bot that the settings name.

Every message goes on as it came, in its order, but that the audio of the caller is denoised: 8 kHz mu-law (Telnyx:
A-law too), a constant delay late. Who may call is asked as elsewhere; since a carrier sends no header of ours, the key
may come as the custom parameter `key` of the start message, which the bot does not get to see.
"""

import asyncio
import base64
import binascii
import contextlib
import json
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gtcrn.audio import laws
from gtcrn.errors import GtcrnError
from gtcrn_server.admission import network
from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.limits import Caller, check_key, presented_keys
from gtcrn_server.messages import Options
from gtcrn_server.service import FAREWELL_SECONDS, Service
from gtcrn_server.sessions import Session
from gtcrn_server.transports.call import Voice, in_time, reaching_the_bot, until_one_leaves
from gtcrn_server.transports.websocket import MAX_REASON, Hangup

PHONE_RATE = 8_000  # Hz
PARAMETERS = ("customParameters", "custom_parameters")  # of a start message; either carrier's name is taken


@dataclass(frozen=True)
class Carrier:
    """How a carrier's start message tells the form of the audio."""

    name: str
    form: str
    rate: str
    laws: dict[str, str]  # its names of what gtcrn.audio.laws knows


CARRIERS = (
    Carrier("twilio", "mediaFormat", "sampleRate", {"audio/x-mulaw": "ulaw"}),
    Carrier("telnyx", "media_format", "sample_rate", {"PCMU": "ulaw", "PCMA": "alaw"}),
)


class CarrierSocket:
    """The ASGI endpoint of one carrier: one Call for each connection."""

    def __init__(self, service: Service, carrier: Carrier) -> None:
        self._service, self._carrier = service, carrier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        peer = scope.get("client")
        keys = presented_keys(Headers(scope=scope), scope.get("subprotocols", []))
        with contextlib.suppress(Hangup):
            await Call(self._service, self._carrier, receive, send).run(keys, network(peer[0]) if peer else "")


class Call:
    """One call from its start message to its end."""

    def __init__(self, service: Service, carrier: Carrier, receive: Receive, send: Send) -> None:
        self._service, self._carrier, self._receive, self._send = service, carrier, receive, send

    async def run(self, keys: list[str], address: str) -> None:
        """Admit, connect the two, close; the code and reason of the close say what ended it early."""
        try:
            async with in_time(self._service, "No start message came"):
                first, start = await self._start()
            caller = Caller(check_key(self._service.settings, [*keys, *_take_key(start)]), address)
            law = self._law(start)
            with Session(self._service, self._carrier.name, caller.client) as session:
                await session.guard(self._connect(session, law, [*first, start]))
        except (Hangup, OSError):
            raise Hangup from None
        except Exception as error:
            if not isinstance(error, GtcrnError):
                logging.getLogger(__name__).exception("a call failed")
            await self._fail(error)

    async def _start(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Messages up to the one that starts, and that one."""
        first: list[dict[str, Any]] = []
        while (message := _parse(await self._next())).get("event") == "connected" and not first:
            first.append(message)
        if message.get("event") != "start" or not isinstance(message.get("start"), dict):
            raise ServiceError(Kind.UNEXPECTED, "A call must begin with its start message.")
        return first, message

    def _law(self, start: dict[str, Any]) -> str:
        """Raises ServiceError for audio that is not a telephone's."""
        carrier, form = self._carrier, start["start"].get(self._carrier.form)
        form = form if isinstance(form, dict) else {}
        law = carrier.laws.get(str(form.get("encoding")))
        if law is None or str(form.get(carrier.rate)) != str(PHONE_RATE) or str(form.get("channels", 1)) != "1":
            raise ServiceError(
                Kind.SETTING, f"Audio must be {' or '.join(carrier.laws)} of {PHONE_RATE} Hz, one channel."
            )
        return law

    async def _connect(self, session: Session, law: str, greeting: list[dict[str, Any]]) -> None:
        live, settings = (
            await self._service.open(Options(sample_rate=PHONE_RATE), session.place),
            self._service.settings,
        )
        assert settings.call_bot is not None
        with reaching_the_bot():
            bot = await connect(
                settings.call_bot,
                open_timeout=settings.start_seconds,
                close_timeout=1,
                max_size=settings.max_message_bytes,
                compression=None,
            )
        session.started = True
        try:
            for message in greeting:
                await bot.send(json.dumps(message))
            await until_one_leaves(self._caller(session, Voice(live), law, bot), self._bot(bot))
        except ConnectionClosed:
            pass  # by the bot, while something was on its way to it
        finally:
            await bot.close()
        await self._close(1000, "")

    async def _caller(self, session: Session, voice: Voice, law: str, bot: ClientConnection) -> None:
        """What the carrier says, to the bot, until the call stops."""
        while True:
            message = _parse(await self._next())
            session.touch()
            if message.get("event") == "media" and _is_inbound(message):
                await _denoise(message["media"], voice, law)
            await bot.send(json.dumps(message))
            if message.get("event") == "stop":
                return

    async def _bot(self, bot: ClientConnection) -> None:
        """What the bot says, unchanged, to the carrier."""
        async for text in bot:
            if isinstance(text, str):
                await self._emit({"type": "websocket.send", "text": text})

    async def _next(self) -> str:
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            raise Hangup
        if (text := event.get("text")) is None:
            raise ServiceError(Kind.UNEXPECTED, "A carrier's messages are text.")
        if len(text) > (limit := self._service.settings.max_message_bytes):
            raise ServiceError(Kind.TOO_LARGE, f"A message may have at most {limit} bytes.")
        return str(text)

    async def _fail(self, error: Exception) -> None:
        told = self._service.tell(error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._close(told.kind.close, told.message)

    async def _close(self, code: int, reason: str) -> None:
        await self._emit({"type": "websocket.close", "code": code, "reason": reason.encode()[:MAX_REASON].decode()})

    async def _emit(self, event: dict[str, Any]) -> None:
        try:
            await self._send(event)
        except (OSError, RuntimeError) as error:
            raise Hangup from error


def _parse(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ServiceError(Kind.MALFORMED, "A message is no JSON.") from error
    if not isinstance(message, dict):
        raise ServiceError(Kind.MALFORMED, "A message must be a JSON object.")
    return message


def _take_key(start: dict[str, Any]) -> list[str]:
    """The key among the custom parameters, which is taken out."""
    found = [start["start"].get(name) for name in PARAMETERS]
    keys = [parameters.pop("key") for parameters in found if isinstance(parameters, dict) and "key" in parameters]
    return [key for key in keys if isinstance(key, str)]


def _is_inbound(message: dict[str, Any]) -> bool:
    """Whether it is the caller's audio, not an echo of the bot's."""
    media = message.get("media")
    if not isinstance(media, dict) or not isinstance(media.get("payload"), str):
        raise ServiceError(Kind.MALFORMED, "media.payload: there must be audio.")
    return media.get("track", "inbound") in ("inbound", "inbound_track")


async def _denoise(media: dict[str, Any], voice: Voice, law: str) -> None:
    try:
        data = base64.b64decode(media["payload"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ServiceError(Kind.MALFORMED, "media.payload: must be base64.") from error
    pcm = (laws.decode(data, law) * 32_768).astype("<i2").tobytes()
    clean = (np.frombuffer(await voice(pcm), "<i2") / 32_768).astype(np.float32)
    media["payload"] = base64.b64encode(laws.encode(clean, law)).decode()
