"""What one app owns: its settings, model, counts and streams, and the rules of who may come in and who must go."""

import asyncio
import contextlib
import math
import os
import secrets
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gtcrn.denoiser import Denoiser
from gtcrn.errors import GtcrnError, needs
from gtcrn.stream import Stream
from gtcrn_server.addresses import EVERY, Addresses
from gtcrn_server.admission import Places, network, weight
from gtcrn_server.errors import Kind, Problem, ServiceError, problem
from gtcrn_server.live import Live
from gtcrn_server.messages import Options
from gtcrn_server.settings import Settings
from gtcrn_server.streams.held import Streams
from gtcrn_server.streams.memory import MemoryStreams
from gtcrn_server.streams.saved import Saved, refusal, state_keys
from gtcrn_server.telemetry import Telemetry
from gtcrn_server.turns import Turns

if TYPE_CHECKING:
    from gtcrn_server.sessions import Session


class Guarded(Protocol):
    """A connection, as far as the service ends it."""

    def sweep(self, now: float) -> None: ...


WATCH_SECONDS = 0.05  # between two looks at how late the event loop is
SWEEP_EVERY = 5  # looks
FILE_NICENESS = 19
OPEN_SECONDS = 0.1  # after which a stream is opened even while audio of others is due
FAREWELL_SECONDS = 5.0  # for the last words of a stream that the service ends


class Service:
    """One per app; nothing of it is shared with another app."""

    def __init__(self, settings: Settings, denoiser: Denoiser, worker: int = 0, metrics: Path | None = None) -> None:
        self.settings, self.denoiser, self.worker = settings, denoiser, worker
        self.state_keys = state_keys(settings.state_keys)
        self.telemetry = Telemetry(worker, metrics)
        self.turns = Turns()
        self.streams = _streams(self)
        self.sessions: set[Session] = set()
        self._proxies = Addresses(name for name in settings.trusted_proxies if name != EVERY)
        each = settings.max_connections if EVERY in settings.trusted_proxies else settings.max_connections_per_client
        self.connections = Places("connections", settings.max_connections, each, self._proxies)
        self.guards: set[Guarded] = set()  # one a connection, where the server has them
        self.places = Places("streams", settings.max_streams, settings.max_streams_per_client, self._proxies)
        self.files = Places("files", settings.max_files, settings.max_files_per_client)
        self.threads: ThreadPoolExecutor | None = None  # of files, while the service runs
        self.opener: ThreadPoolExecutor | None = None  # of streams that are opened, and of wide ones that end, likewise
        self.started = self.leaving = False

    @property
    def ready(self) -> bool:
        """Whether new work is taken."""
        return self.started and not self.leaving

    def client(self, peer: Sequence[Any] | None) -> str:
        """Whose places who comes from this address and port takes, where no key says it."""
        return network(str(peer[0]), self._proxies) if peer else ""

    def admit(self, transport: str, client: str) -> "Place":
        """A place for one more live stream, or ServiceError: shutting down, full, or too slow already."""
        self.refuse_if_leaving()
        if self.telemetry.lag * 1000 > self.settings.max_queue_ms:
            raise ServiceError(Kind.OVERLOADED, "The service is behind with its running streams; try again later.")
        return Place(self, transport, client)

    def refuse_if_leaving(self) -> None:
        if self.leaving:
            raise leaving()

    async def open(self, options: Options, place: "Place") -> Live:
        """A fresh stream with an id nobody can guess, in its turn; raises ServiceError if it weighs too much."""
        place.grow(options)
        await self.turns.turn(OPEN_SECONDS)
        form = options.sample_rate, options.channels, options.attenuation_limit, options.bypass, options.keep_highs
        live = self._live(options, await self._aside(partial(self.denoiser.stream, *form)))
        place.opened()
        return live

    async def resume(self, saved: Saved, snapshot: bytes, place: "Place") -> Live:
        """The stream that was `saved`, at its position; raises ServiceError where it belongs to another service."""
        place.grow(saved.options)
        await self.turns.turn(OPEN_SECONDS)
        try:
            stream = await self._aside(partial(self.denoiser.resume, snapshot))
        except GtcrnError as error:
            raise refusal(str(error).rstrip(".")) from error
        live = self._live(saved.options, stream)
        live.go_on(saved)
        place.opened()
        return live

    async def _aside(self, make: Callable[[], Stream]) -> Stream:
        """Filters of a new rate take up to 10 ms."""
        return await asyncio.get_running_loop().run_in_executor(self.opener, make)

    def _live(self, options: Options, stream: Stream) -> Live:
        identity, config = f"{self.worker}-{secrets.token_urlsafe(12)}", self.denoiser.config
        return Live(identity, options, stream, config, self.telemetry, self.turns, self.opener)

    def tell(self, error: BaseException) -> Problem:
        """What the client is told of `error`, counted."""
        told = problem(error)
        self.telemetry.rejections[told.kind.code] += 1
        return told

    async def start(self) -> None:
        """Make threads; denoise a second of silence, so that the first client does not wait for what is made once."""
        self.threads = ThreadPoolExecutor(self.settings.file_threads, "files", initializer=_yield_to_live_audio)
        self.opener = ThreadPoolExecutor(1, "openings", initializer=_yield_to_live_audio)
        stream = self.denoiser.stream()
        await asyncio.to_thread(stream.push, np.zeros(stream.sample_rate, np.float32))
        await self.streams.start()
        self.started = True

    async def stop(self) -> None:
        """The opposite."""
        self.started = False
        await self.streams.stop()
        for executor in (self.threads, self.opener):
            if executor:
                executor.shutdown(cancel_futures=True)

    async def watch(self) -> None:
        """Measure the lateness of the event loop and end what has been silent, slow or long for too long."""
        for look in count(1):
            due = monotonic() + WATCH_SECONDS
            await asyncio.sleep(WATCH_SECONDS)
            self.telemetry.late(max(0.0, monotonic() - due))
            self._tell_late(monotonic())
            if look % SWEEP_EVERY == 0:
                self.sweep(monotonic())

    def _tell_late(self, now: float) -> None:
        """The running streams are told when they wait as long as would keep new ones out."""
        if self.telemetry.lag * 1000 > self.settings.max_queue_ms:
            for session in self.sessions:
                session.late(now, self.telemetry.lag)

    def sweep(self, now: float) -> None:
        """End connections and sessions that are over a limit at the time `now` (monotonic), expire REST streams."""
        self.telemetry.share()
        for guard in list(self.guards):
            guard.sweep(now)
        for session in list(self.sessions):
            if reason := session.overdue(now, self.settings):
                session.interrupt(reason)
            session.remind(now)
        settings = self.settings
        self.streams.expire(now - settings.idle_seconds, now - settings.session_seconds)

    async def drain(self, hurry: Callable[[], bool]) -> None:
        """Take nothing new, let running streams finish for `drain_seconds`, or until `hurry`, then end the rest.

        Streams that can go on elsewhere do so at once.
        """
        self.leaving = True
        deadline = monotonic() + self.settings.drain_seconds
        for session in list(self.sessions):
            if session.token_seconds < math.inf:
                session.interrupt(ServiceError(Kind.LEAVING, "The service is shutting down; go on with the token."))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(self.settings.drain_seconds, FAREWELL_SECONDS)):
                await self.streams.leave()
        while (self.telemetry.live or self.files.taken) and monotonic() < deadline and not hurry():
            await asyncio.sleep(WATCH_SECONDS)
        tasks = [session.task for session in self.sessions]
        for session in list(self.sessions):
            session.interrupt(ServiceError(Kind.LEAVING, "The service is shutting down; the stream ends here."))
        if tasks:
            await asyncio.wait(tasks, timeout=FAREWELL_SECONDS + 1)


def leaving() -> ServiceError:
    """Why nothing new is taken."""
    return ServiceError(Kind.LEAVING, "The service is shutting down; connect again, to another instance.")


def _streams(service: Service) -> Streams:
    """Shared in Redis, where the settings name one. Raises ConfigError where its package is missing."""
    settings = service.settings
    if settings.redis_url is None:
        return MemoryStreams(service.worker, settings.workers)
    with needs("redis"):
        from gtcrn_server.streams.shared import SharedStreams
    return SharedStreams(service, settings.redis_url)


class Place:
    """What one live stream takes of the service: the weight of the lightest, until it is known what it is."""

    def __init__(self, service: Service, transport: str, client: str) -> None:
        self._service, self._transport, self._client = service, transport, client
        self.weight = 0.0
        self.take(1.0)
        service.telemetry.active[transport] += 1

    def opened(self) -> None:
        """There is a stream now: who only asks about a shared one that is over has a place for a moment, too."""
        self._service.telemetry.opened[self._transport] += 1

    def grow(self, options: Options) -> None:
        """To the weight of a stream with these options; raises ServiceError for too much, however empty the service."""
        service = self._service
        wanted = weight(options.sample_rate, options.channels, service.denoiser.config.channels)
        limit = min(service.settings.max_stream_weight, service.places.most(self._client))
        if wanted > limit:
            form = f"{options.channels} channels at {options.sample_rate} Hz weigh as much as {wanted:.3g} streams"
            raise ServiceError(Kind.SETTING, f"{form}, and one may weigh {limit:g}.")
        self.take(max(0.0, wanted - self.weight))

    def take(self, more: float) -> None:
        """So much more than before; raises ServiceError where the service, or this client, is full."""
        self._service.places.take(self._client, more)
        self.weight += more
        self._service.telemetry.weight += more

    def give(self) -> None:
        """The stream is over."""
        self._service.places.give(self._client, self.weight)
        self._service.telemetry.weight -= self.weight
        self._service.telemetry.active[self._transport] -= 1


def _yield_to_live_audio() -> None:
    """Give this thread a low priority, where the system has priorities of threads."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), FILE_NICENESS)
