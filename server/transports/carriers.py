"""WebSockets /v1/twilio and /v1/telnyx: media streams of calls, JSON with mu-law (Telnyx: A-law too) of 8 kHz in it.

Since a carrier sends no header of ours, the key may come as the custom parameter `key` of the start message, which the
bot does not get to see.
"""

import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.transports.call import PHONE_RATE, Voice
from gtcrn_server.transports.relay import Message, Opening

PARAMETERS = ("customParameters", "custom_parameters")  # of a start message; either carrier's name is taken
NUMBERS = ("sequenceNumber", "sequence_number")  # of a message, likewise


@dataclass(frozen=True)
class Carrier:
    """How a carrier's start message tells the form of the audio."""

    name: str
    form: str
    rate: str
    laws: dict[str, str]  # its names of what gtcrn.audio.laws knows

    def law(self, start: dict[str, Any]) -> str:
        """Raises ServiceError for audio that is not a telephone's."""
        form = start["start"].get(self.form)
        form = form if isinstance(form, dict) else {}
        law = self.laws.get(str(form.get("encoding")))
        if law is None or str(form.get(self.rate)) != str(PHONE_RATE) or str(form.get("channels", 1)) != "1":
            raise ServiceError(Kind.SETTING, f"Audio must be {' or '.join(self.laws)} of {PHONE_RATE} Hz, one channel.")
        return law


CARRIERS = (
    Carrier("twilio", "mediaFormat", "sampleRate", {"audio/x-mulaw": "ulaw"}),
    Carrier("telnyx", "media_format", "sample_rate", {"PCMU": "ulaw", "PCMA": "alaw"}),
)


class MediaStream:
    """The dialect of a carrier."""

    binary = False
    subprotocol: str | None = None

    def __init__(self, carrier: Carrier) -> None:
        self.name, self._carrier = carrier.name, carrier
        self._media: dict[str, Any] = {}  # the caller's last audio

    async def open(self, receive: Callable[[], Awaitable[Message]]) -> Opening:
        first: list[Message] = []
        while (message := _parse(await receive())).get("event") == "connected" and not first:
            first.append(json.dumps(message))
        if message.get("event") != "start" or not isinstance(message.get("start"), dict):
            raise ServiceError(Kind.UNEXPECTED, "A call must begin with its start message.")
        keys = _take_key(message)
        return Opening([*first, json.dumps(message)], PHONE_RATE, self._carrier.law(message), keys)

    async def hear(self, message: Message, voice: Voice) -> Message | None:
        parsed = _parse(message)
        if parsed.get("event") == "stop":
            return None
        if parsed.get("event") == "media" and _is_inbound(parsed):
            self._media = parsed
            parsed["media"]["payload"] = _payload(await voice(_codes(parsed["media"])))
        return json.dumps(parsed)

    def end(self, pieces: list[bytes], last: Message | None) -> list[Message]:
        """More media messages, counted on from the last and numbered in the place of the one that stops."""
        stop = _parse(last) if last else {}
        media = self._media | _raised({name: stop[name] for name in NUMBERS if name in stop}, NUMBERS, -1)
        messages = []
        for piece in pieces:
            media = _following(media, piece)
            messages.append(media)
        if last:
            messages.append(_raised(stop, NUMBERS, len(pieces)))
        return [json.dumps(message) for message in messages]


def _parse(text: Message) -> dict[str, Any]:
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


def _codes(media: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(media["payload"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ServiceError(Kind.MALFORMED, "media.payload: must be base64.") from error


def _payload(codes: bytes) -> str:
    return base64.b64encode(codes).decode()


def _following(message: dict[str, Any], codes: bytes) -> dict[str, Any]:
    """The media message after this one."""
    milliseconds = len(_codes(message["media"])) * 1000 // PHONE_RATE
    media = _raised(_raised(message["media"], ("chunk",), 1), ("timestamp",), milliseconds)
    return _raised(message, NUMBERS, 1) | {"media": media | {"payload": _payload(codes)}}


def _raised(fields: dict[str, Any], names: tuple[str, ...], by: int) -> dict[str, Any]:
    """With those of these fields that count raised, as text where they were text."""
    counts = {name: fields[name] for name in names if re.fullmatch(r"[0-9]{1,18}", str(fields.get(name)))}
    return fields | {name: type(value)(int(value) + by) for name, value in counts.items()}
