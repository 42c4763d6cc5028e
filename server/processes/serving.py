"""From settings to running processes: the socket, uvicorn with a shutdown that lets streams finish, workers."""

import asyncio
import functools
import gc
import secrets
import socket
import sys
from collections.abc import Sequence
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

import gtcrn
from gtcrn.audio.quiet import without_words_of_libraries
from gtcrn.errors import ConfigError, GtcrnError
from gtcrn_server.app import create_app
from gtcrn_server.processes.siblings import Siblings
from gtcrn_server.processes.workers import Workers
from gtcrn_server.service import Service
from gtcrn_server.settings import Settings
from gtcrn_server.transports.direct import DirectProtocol
from gtcrn_server.transports.guard import HEADER_BYTES, Guard

SWITCH_SECONDS = 0.0005  # how long a file's thread may keep the interpreter from live audio
DEAD_PEER_MS = 30_000  # until what was sent must be acknowledged
BACKLOG = 1024


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
    siblings: Sequence[int] = (),
    http: type[asyncio.Protocol] = AutoHTTPProtocol,
) -> GracefulServer:
    """A uvicorn server for one worker; it listens on the sockets that its `run` is given.

    `siblings` are the loopback ports of all workers, if there are several; `http` is one of uvicorn's HTTP protocols.
    """
    app = create_app(settings, denoiser, worker)
    guard: Any = functools.partial(Guard, app.state.service, http)
    config = uvicorn.Config(
        Siblings(app, settings, worker, siblings) if siblings else app,
        http=guard,
        ws=DirectProtocol,
        ws_max_size=settings.max_message_bytes,
        ws_per_message_deflate=False,  # costs time, saves nothing on audio, and invites bombs
        access_log=False,
        log_level="warning",
        server_header=False,
        h11_max_incomplete_event_size=2 * HEADER_BYTES,
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=round(settings.idle_seconds),
        timeout_graceful_shutdown=round(settings.slow_reader_seconds),
    )
    return GracefulServer(config, app.state.service)


def listen(host: str, port: int) -> socket.socket:
    """The bound socket. Raises ConfigError when the address cannot be had."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # connections inherit it
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}.") from error
    return bound


def work(settings: Settings, sockets: Sequence[socket.socket], worker: int = 0, siblings: Sequence[int] = ()) -> None:
    """Be one worker until SIGTERM."""
    try:
        denoiser = gtcrn.load(settings.weights)
    except GtcrnError as error:  # they were there when the first process looked
        sys.exit(f"gtcrn: worker {worker} cannot start: {error}")
    with without_words_of_libraries():  # decoders print about every odd frame of an upload; our log goes on
        instance = server(settings, denoiser, worker, siblings)
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.freeze()  # what lives from now to the end need not be looked through
        instance.run(sockets=list(sockets))


def serve(settings: Settings) -> None:
    """Listen and serve until a signal comes. Raises GtcrnError when it cannot begin."""
    gtcrn.load(settings.weights)  # a fault in it is told here, once
    settings = settings.model_copy(update={"state_keys": settings.state_keys or (secrets.token_hex(32),)})
    bound = listen(settings.host, settings.port)
    host, port = bound.getsockname()[:2]
    print(f"gtcrn serves on http://{host}:{port} with {settings.workers} worker(s); stop it with Ctrl+C.", flush=True)
    if settings.workers == 1:
        work(settings, [bound])
    else:
        Workers(settings, bound, [listen("127.0.0.1", 0) for _ in range(settings.workers)], work).run()
