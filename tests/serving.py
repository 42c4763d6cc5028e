"""A running service for tests: the real server on a free port of this machine, in a thread of its own."""

import asyncio
import contextlib
import importlib.util
import itertools
import json
import shutil
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import wait_for as wait_for
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

import gtcrn_server
from gtcrn import Denoiser
from gtcrn.audio.pcm import PcmFormat
from gtcrn.types import Samples
from gtcrn_server.page import STATIC
from gtcrn_server.processes.serving import GracefulServer, server
from gtcrn_server.service import Service
from gtcrn_server.settings import Settings
from gtcrn_server.sockets import listen

EXAMPLES = Path(gtcrn_server.__file__).parent / "examples"
START = {"type": "start"}
END = {"type": "end"}


@contextlib.contextmanager
def page_files(folder: Path) -> Iterator[Path]:
    """Until the block ends services serve this copy of the page's files, without the denoiser for browsers."""
    copy = shutil.copytree(STATIC, folder / "static", ignore=shutil.ignore_patterns("browser"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gtcrn_server.page.STATIC", copy)
        yield copy


def settings(**changes: Any) -> Settings:
    """Settings for tests: any free port, and no refusal because this machine is busy with something else."""
    return Settings(**{"port": 0, "max_queue_ms": 60_000, "drain_seconds": 1, **changes})


@dataclass
class Running:
    """A service that runs: where it is, and what it is made of."""

    port: int
    server: GracefulServer
    service: Service
    thread: threading.Thread

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/stream"

    def stop(self) -> None:
        """What SIGTERM does."""
        self.server.should_exit = True


@contextlib.contextmanager
def running(
    denoiser: Denoiser, protocol: str | None = None, http: type[asyncio.Protocol] = AutoHTTPProtocol, **changes: Any
) -> Iterator[Running]:
    """A service with these settings until the block ends; `protocol` and `http` are others of uvicorn's protocols."""
    chosen = settings(**changes)
    bound = listen(chosen.host, chosen.port)
    port = bound.getsockname()[1]
    instance = server(chosen, denoiser, http=http)
    instance.config.ws = protocol or instance.config.ws
    thread = threading.Thread(target=instance.run, args=([bound],), daemon=True)
    thread.start()
    wait_for(lambda: instance.started)
    try:
        app: Any = instance.config.app
        yield Running(port, instance, app.state.service, thread)
    finally:
        instance.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server does not stop"


def example(name: str) -> Any:
    """A module of server/examples."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def speech(seconds: float, seed: int = 0, sample_rate: int = 16_000, channels: int = 1) -> Samples:
    """Noise with a rhythm, (channels, n): any signal does, the weights are random."""
    generator = np.random.default_rng(seed)
    n = round(seconds * sample_rate)
    rhythm = np.abs(np.sin(2 * np.pi * 3 * np.arange(n) / sample_rate))
    return (0.1 * generator.standard_normal((channels, n)) * rhythm).astype(np.float32)


def pcm(samples: Samples, encoding: str = "s16le") -> bytes:
    """Interleaved bytes of (channels, n)."""
    return PcmFormat(16_000, len(samples), encoding).encode(samples)[0]


def offline(denoiser: Denoiser, data: bytes, sample_rate: int = 16_000, channels: int = 1, **options: Any) -> bytes:
    """PCM16 of the whole recording denoised at once: what every way through the service must equal."""
    form = PcmFormat(sample_rate, channels, "s16le")
    return form.encode(denoiser(form.decode(data), sample_rate, **options))[0]


@dataclass
class Answer:
    """What a WebSocket client got: its audio, its JSON events, how the connection was closed."""

    audio: bytes
    events: list[dict[str, Any]]
    code: int | None
    reason: str | None


async def receive_all(connection: ClientConnection) -> Answer:
    """Everything until the connection closes."""
    audio, events = [], []
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            if isinstance(message, bytes):
                audio.append(message)
            else:
                events.append(json.loads(message))
    return Answer(b"".join(audio), events, connection.close_code, connection.close_reason)


async def send_all(connection: ClientConnection, messages: Iterable[bytes | dict[str, Any]]) -> None:
    """Bytes as they are, everything else as JSON; stops when the service has closed."""
    with contextlib.suppress(ConnectionClosed):
        for message in messages:
            await connection.send(message if isinstance(message, bytes) else json.dumps(message))


async def talk(url: str, *messages: bytes | dict[str, Any], **options: Any) -> Answer:
    """Send all messages and take what comes until the service closes."""
    async with connect(url, **options) as connection:
        reading = asyncio.ensure_future(receive_all(connection))
        await send_all(connection, messages)
        return await reading


def say(url: str, *messages: bytes | dict[str, Any], **options: Any) -> Answer:
    """`talk`, for tests that do nothing else meanwhile."""
    return asyncio.run(talk(url, *messages, **options))


def cut(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    """Data in pieces of these sizes, which are repeated."""
    pieces, place = list[bytes](), 0
    for size in itertools.cycle(sizes):
        if place >= len(data):
            return pieces
        pieces.append(data[place : place + size])
        place += size
    return pieces
