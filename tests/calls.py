"""A bot at the other end of a call: a WebSocket server that notes what it hears and says what it is told to say."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from serving import speech
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from gtcrn import Denoiser
from gtcrn.audio import laws

DELAY = 359  # samples at 8 kHz: 44.9 ms


@dataclass
class Bot:
    """`heard` are the messages that came, as they were where `raw`; `words` go out when the call has started."""

    url: str = ""
    heard: list[Any] = field(default_factory=list)
    words: list[Any] = field(default_factory=list)
    raw: bool = False
    subprotocol: str | None = None
    gone: threading.Event = field(default_factory=threading.Event)

    def answer(self, connection: ServerConnection) -> None:
        self.subprotocol = connection.subprotocol
        for message in connection:
            self.heard.append(message if self.raw else json.loads(message))
            if len(self.heard) == 1 if self.raw else self.heard[-1].get("event") == "start":
                for word in self.words:
                    connection.send(word if isinstance(word, str | bytes) else json.dumps(word))
        self.gone.set()


@contextlib.contextmanager
def bot(raw: bool = False, subprotocols: Sequence[Subprotocol] | None = None) -> Iterator[Bot]:
    one = Bot(raw=raw)
    with serve(one.answer, "127.0.0.1", 0, subprotocols=subprotocols) as server:
        one.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/call"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield one
        server.shutdown()
        thread.join(10)


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    """A place where no bot is, and where nobody else can be meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"ws://127.0.0.1:{held.getsockname()[1]}/call"


def denoised(denoiser: Denoiser, data: bytes, law: str, piece: int) -> bytes:
    """What the bot is to hear of a caller's codes that come in pieces of so many: all of it, late."""
    pcm = (laws.decode(data, law) * 32_768).astype("<i2").tobytes()
    late = np.frombuffer(delayed(denoiser, pcm, 8_000, 2 * piece), "<i2")
    return laws.encode((late / 32_768).astype(np.float32), law)


def delayed(denoiser: Denoiser, pcm: bytes, rate: int, piece: int) -> bytes:
    """Silence for the delay, the denoised PCM16, and silence that fills the last piece."""
    stream = denoiser.stream(rate)
    late = bytes(2 * (stream.latency - 1)) + stream.push_pcm16(pcm) + stream.flush_pcm16()
    return late + bytes(-(len(late) - len(pcm)) % piece)


def codes(seconds: float, law: str = "ulaw") -> bytes:
    return laws.encode(speech(seconds, sample_rate=8_000)[0], law)


def said(call: ClientConnection, *messages: Any) -> None:
    for message in messages:
        call.send(message if isinstance(message, str | bytes) else json.dumps(message))


def closed(call: ClientConnection) -> tuple[int | None, str | None]:
    with contextlib.suppress(ConnectionClosed):
        for _ in call:
            pass
    return call.close_code, call.close_reason
