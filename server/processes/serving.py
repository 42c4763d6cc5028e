"""From settings to running processes: the socket, uvicorn with a shutdown that lets streams finish, workers."""

import asyncio
import contextlib
import functools
import gc
import secrets
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

import gtcrn
from gtcrn.audio.quiet import without_words_of_libraries
from gtcrn.errors import GtcrnError, needs
from gtcrn_server.addresses import with_mapped
from gtcrn_server.app import create_app
from gtcrn_server.processes.workers import Workers
from gtcrn_server.service import Service
from gtcrn_server.settings import Settings
from gtcrn_server.sockets import listen
from gtcrn_server.transports.direct import DirectProtocol
from gtcrn_server.transports.guard import HEADER_BYTES, Guard

SWITCH_SECONDS = 0.0005  # how long a file's thread may keep the interpreter from live audio


class GracefulServer(uvicorn.Server):
    """uvicorn, which on SIGTERM first lets the service drain."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._service.drain(lambda: self.force_exit)
        await super().shutdown(sockets)


def server(
    settings: Settings,
    denoiser: gtcrn.Denoiser,
    worker: int = 0,
    metrics: Path | None = None,
    http: type[asyncio.Protocol] = AutoHTTPProtocol,
    calls: socket.socket | None = None,
) -> GracefulServer:
    """A uvicorn server for one worker; it listens on the sockets that its `run` is given.

    `metrics` is a folder that all workers share, if there are several; `http` is one of uvicorn's HTTP protocols;
    `calls` is AudioSocket's socket, where it is open already.
    """
    app = create_app(settings, denoiser, worker, metrics)
    app.state.audiosocket.bound = calls
    guard: Any = functools.partial(Guard, app.state.service, http)
    config = uvicorn.Config(
        app,
        http=guard,
        ws=DirectProtocol,
        ws_max_size=settings.max_message_bytes,
        ws_per_message_deflate=False,  # costs time, saves nothing on audio, and invites bombs
        access_log=False,
        log_level="warning",
        server_header=False,
        h11_max_incomplete_event_size=2 * HEADER_BYTES,
        forwarded_allow_ips=with_mapped(settings.trusted_proxies),
        timeout_keep_alive=round(settings.idle_seconds),
        timeout_graceful_shutdown=round(settings.slow_reader_seconds),
    )
    return GracefulServer(config, app.state.service)


def work(
    settings: Settings,
    bound: socket.socket,
    worker: int = 0,
    metrics: Path | None = None,
    calls: socket.socket | None = None,
) -> None:
    """Be one worker until SIGTERM."""
    try:
        denoiser = gtcrn.load(settings.weights)
    except GtcrnError as error:  # they were there when the first process looked
        sys.exit(f"gtcrn: worker {worker} cannot start: {error}")
    with without_words_of_libraries():  # decoders print about every odd frame of an upload; our log goes on
        instance = server(settings, denoiser, worker, metrics, calls=calls)
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.freeze()  # what lives from now to the end need not be looked through
        instance.run(sockets=[bound])


def serve(settings: Settings) -> None:
    """Listen and serve until a signal comes. Raises GtcrnError when it cannot begin."""
    gtcrn.load(settings.weights)  # a fault in it is told here, once
    if settings.redis_url:
        with needs("redis"):
            import redis  # noqa: F401 (nor is it missing in the workers)
    settings = settings.model_copy(update={"state_keys": settings.state_keys or (secrets.token_hex(32),)})
    with contextlib.ExitStack() as opened:
        bound = opened.enter_context(listen(settings.host, settings.port))
        calls = None
        if settings.audiosocket_port is not None:
            calls = opened.enter_context(listen(settings.host, settings.audiosocket_port))
        _announce(settings, bound, calls)
        if settings.workers == 1:
            work(settings, bound, calls=calls)
        else:
            counts = tempfile.TemporaryDirectory(prefix="gtcrn-metrics-", ignore_cleanup_errors=True)
            folder = Path(opened.enter_context(counts))
            Workers(settings, bound, folder, functools.partial(work, calls=calls)).run()


def _announce(settings: Settings, bound: socket.socket, calls: socket.socket | None) -> None:
    host, port = bound.getsockname()[:2]
    workers = f"with {settings.workers} worker(s)"
    also = f", AudioSocket on port {calls.getsockname()[1]}" if calls else ""
    print(f"gtcrn serves on http://{host}:{port} {workers}{also}; stop it with Ctrl+C.", flush=True)
