"""A connection with a stream, as the service sees it: its place, how long it may last, what it is reminded of."""

import asyncio
import math
from collections.abc import Awaitable
from time import monotonic

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.native import Lane
from gtcrn_server.service import Service
from gtcrn_server.settings import Settings

TELL_SECONDS = 5.0  # between two times that a stream is told that its audio is late


class Session:
    """The place of one connection in the service, as a context; the service may end it from outside."""

    def __init__(self, service: Service, transport: str, client: str) -> None:
        self._service, self._transport, self._client = service, transport, client
        self._clock = monotonic
        self.started = False  # the client has said what it wants
        self.reason: ServiceError | None = None
        self.lane: Lane | None = None  # on which audio comes that touches nothing else
        self.behind = 0.0  # seconds that the audio of this stream waits, where it is to be told
        self._told = -TELL_SECONDS  # when it was told last
        self.token_seconds = math.inf  # from one token to the next
        self.token_due = False

    def __enter__(self) -> "Session":
        task = asyncio.current_task()
        assert task is not None, "a session belongs to a task"
        self.place = self._service.admit(self._transport, self._client)
        self.task: asyncio.Task[object] = task
        self.opened = self.touched = self._saved = self._clock()
        self._service.sessions.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._service.sessions.discard(self)
        self.place.give()
        self.reason = None  # it holds the frames that it came through, and they this session

    def touch(self) -> None:
        """A message came."""
        self.touched = self._clock()

    def late(self, now: float, behind: float) -> None:
        """Its audio waits so long; the client is to be told, but not all the time."""
        if now - self._told > TELL_SECONDS:
            self._told, self.behind = now, behind
            if self.lane:
                self.lane.free = False

    def remind(self, now: float) -> None:
        """A token is due with the next message once so many seconds have gone by."""
        if now - self._saved > self.token_seconds:
            self._saved, self.token_due = now, True
            if self.lane:
                self.lane.free = False

    def overdue(self, now: float, settings: Settings) -> ServiceError | None:
        """Why the session must end now, if it must."""
        touched = max(self.touched, self.lane.heard) if self.lane else self.touched
        idle, age = now - touched, now - self.opened
        if not self.started and age > settings.start_seconds:
            return ServiceError(Kind.TIMEOUT, f"No start message came within {settings.start_seconds:g} s.")
        if idle > settings.idle_seconds:
            return ServiceError(Kind.TIMEOUT, f"Nothing came for {settings.idle_seconds:g} s.")
        if age > settings.session_seconds:
            return ServiceError(Kind.TIMEOUT, f"A stream may last {settings.session_seconds:g} s.")
        return None

    def interrupt(self, reason: ServiceError) -> None:
        """End the session: `guard` raises `reason` where its task waits. The first reason counts."""
        if self.reason is None:
            self.reason = reason
            self.task.cancel()

    async def guard(self, work: Awaitable[None]) -> None:
        """Await `work`; raises the reason of an interruption in place of the cancellation."""
        try:
            await work
        except asyncio.CancelledError:
            if self.reason is None:
                raise
            self.task.uncancel()
            raise self.reason from None
