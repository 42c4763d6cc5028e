"""A bot at the other end of a call: a WebSocket server that notes what it hears and says what it is told to say."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.sync.server import ServerConnection, serve

from gtcrn import Denoiser
from gtcrn.audio import laws

DELAY = 359  # samples at 8 kHz: 44.9 ms


@dataclass
class Bot:
    """`heard` are the messages that came; `words` go out when the call has started, each in its turn."""

    url: str = ""
    heard: list[Any] = field(default_factory=list)
    words: list[Any] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)

    def answer(self, connection: ServerConnection) -> None:
        for text in connection:
            self.heard.append(json.loads(text))
            if self.heard[-1].get("event") == "start":
                for word in self.words:
                    connection.send(word if isinstance(word, str) else json.dumps(word))
        self.gone.set()


@contextlib.contextmanager
def bot() -> Iterator[Bot]:
    one = Bot()
    with serve(one.answer, "127.0.0.1", 0) as server:
        one.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/call"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield one
        server.shutdown()
        thread.join(10)


def denoised(denoiser: Denoiser, data: bytes, law: str, delay: int = DELAY) -> bytes:
    """What the bot is to hear of a caller's codes."""
    stream = denoiser.stream(8_000)
    samples = laws.decode(data, law)
    pcm = bytes(2 * delay) + stream.push_pcm16((samples * 32_768).astype("<i2").tobytes())
    return laws.encode((np.frombuffer(pcm, "<i2")[: len(data)] / 32_768).astype(np.float32), law)
