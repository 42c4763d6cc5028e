"""WebSocket /v1/asterisk: Asterisk's channel driver chan_websocket, which connects here as it would to the bot.

Its audio is in binary messages, of the channel's format; its events, and the bot's commands, are text, plain or JSON.
Only MEDIA_START is read, for the format.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.transports.call import PHONE_RATE, Voice
from gtcrn_server.transports.relay import Message, Opening

START = "MEDIA_START"
LINEAR = {"": 8_000, "12": 12_000, "16": 16_000, "24": 24_000, "32": 32_000, "44": 44_100, "48": 48_000}
LINEAR |= {"96": 96_000, "192": 192_000}  # Hz, by what follows "slin"
FORMATS = {f"slin{name}": (rate, "") for name, rate in LINEAR.items()} | {
    law: (PHONE_RATE, law) for law in ("ulaw", "alaw")
}


class ChanWebSocket:
    """The dialect of chan_websocket, whose calls end without a message."""

    name, binary = "asterisk", True
    subprotocol: str | None = "media"

    async def open(self, receive: Callable[[], Awaitable[Message]]) -> Opening:
        message = await receive()
        fields = _fields(message) if isinstance(message, str) else {}
        if fields.get("event") != START:
            raise ServiceError(Kind.UNEXPECTED, f"A call must begin with {START}.")
        form = str(fields.get("format"))
        if form not in FORMATS:
            raise ServiceError(Kind.SETTING, f"Audio must be slin, slin12 to slin192, ulaw or alaw, not {form:.20}.")
        return Opening([message], *FORMATS[form])

    async def hear(self, message: Message, voice: Voice) -> Message | None:
        return message if isinstance(message, str) else await voice(message)

    def end(self, pieces: list[bytes], last: Message | None) -> list[Message]:
        return [*pieces]


def _fields(event: str) -> dict[str, Any]:
    """Of an event such as `MEDIA_START format:slin16 ptime:20`, or of the same in JSON; none of anything else."""
    if not event.startswith("{"):
        name, *pairs = event.split()[:100] or [""]
        return {"event": name, **dict(pair.partition(":")[::2] for pair in pairs)}
    try:
        found = json.loads(event)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
