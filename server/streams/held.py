"""A REST stream between two requests, and what a request does with it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.headers import counts
from gtcrn_server.live import Live
from gtcrn_server.messages import Change, StreamStatus

if TYPE_CHECKING:
    from gtcrn_server.service import Place


class Ask(BaseModel):
    """What a request wants of a stream. The body is PCM of "frames", or the JSON of "change"."""

    model_config = ConfigDict(frozen=True)

    verb: Literal["read", "change", "frames", "end"]
    identity: str
    owner: str  # the caller's key, digested
    client: str  # whose places are counted together
    sequence: int = -1  # of frames
    body: bytes = Field(b"", exclude=True)


class Reply(BaseModel):
    """The answer. The body is PCM, or the JSON of a StreamStatus."""

    model_config = ConfigDict(frozen=True)

    counts: Mapping[str, str] = {}  # what is told of all samples, in headers
    body: bytes = Field(b"", exclude=True)


class Streams(Protocol):
    """Where REST streams are between two requests."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...

    async def leave(self) -> None:
        """The service shuts down: streams that others can take go there."""

    async def put(self, held: "Held") -> None:
        """Keep a new stream. Raises ServiceError where that is not possible."""

    async def ask(self, ask: Ask) -> Reply:
        """Raises ServiceError for a stream that is unknown (404), over (410), or what Held refuses."""

    def expire(self, touched: float, opened: float) -> None:
        """Let go of streams not touched since `touched` or opened before `opened`; their places are free again."""


@dataclass
class Held:
    """Times are `time.monotonic`'s, in seconds. Whoever calls holds the lock."""

    identity: str
    owner: str
    live: Live | None
    place: "Place | None"
    opened: float
    touched: float
    sequence: int = 0  # of the next frames
    answer: bytes = b""  # to the last frames that were applied, or the tail, for a retry
    state: Literal["open", "ended", "expired"] = "open"
    counts: dict[str, str] = field(default_factory=dict)  # once it has ended
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def changed_by(self, ask: Ask) -> bool:
        """Whether obeying would change the stream. Raises ServiceError for what cannot be obeyed."""
        live = self.live
        if self.state == "expired":
            raise ServiceError(Kind.GONE, "The stream was idle or open for too long and has expired; open another.")
        if ask.verb == "end":
            return live is not None
        if live is None:
            raise ServiceError(Kind.GONE, "The stream has ended; open another.")
        if ask.verb != "frames":
            return ask.verb == "change"
        if not self.sequence - 1 <= ask.sequence <= self.sequence:
            raise ServiceError(Kind.SEQUENCE, f"The stream waits for sequence {self.sequence}, not {ask.sequence}.")
        live.refuse_halves(ask.body)
        return ask.sequence == self.sequence

    async def obey(self, ask: Ask) -> Reply:
        """Apply the request, or answer again what was applied before. Raises ServiceError as `changed_by` does."""
        changes, live = self.changed_by(ask), self.live
        if ask.verb == "frames":
            if changes and live:
                self.answer = b"".join([output async for output in live.feed(ask.body)])
                self.sequence += 1
            return Reply(body=self.answer)
        if ask.verb == "end":
            if live:
                await self._end(live)
            return Reply(body=self.answer, counts=self.counts)
        assert live is not None
        if changes:
            live.change(Change.model_validate_json(ask.body))
        return Reply(body=self._status(live).model_dump_json().encode())

    async def catch_up(self, ask: Ask) -> None:
        """Apply what was accepted before, in another worker: it does not wait for its turn again."""
        if ask.verb == "frames" and self.live:
            self.answer = self.live.push(ask.body)
            self.sequence += 1
            await asyncio.sleep(0)
        else:
            await self.obey(ask)

    async def _end(self, live: Live) -> None:
        self.answer = await live.finish()
        done = live.summary()
        self.counts = counts(done.nonfinite, done.clipped)
        self.close("ended")

    def close(self, state: Literal["ended", "expired"]) -> None:
        """It is over: its place is free."""
        self.state, self.live = state, None
        self.answer = b"" if state == "expired" else self.answer
        self.let_go()

    def let_go(self) -> None:
        """Nothing of this service is held any more."""
        if self.place:
            self.place.give()
        self.place = None

    def _status(self, live: Live) -> StreamStatus:
        return StreamStatus(
            id=self.identity,
            sequence=self.sequence,
            attenuation_limit=live.stream.attenuation_limit,
            bypass=live.stream.bypass,
            keep_highs=live.stream.keep_highs,
            seconds=round(live.seconds, 6),
            nonfinite=live.summary().nonfinite,
            clipped=live.clipped,
        )


def late(held: Held, touched: float, opened: float) -> bool:
    """Whether the stream has expired; one that a request works on has not."""
    return not held.lock.locked() and (held.touched < touched or held.opened < opened)


def away() -> ServiceError:
    return ServiceError(Kind.AWAY, "Shared streams cannot be reached at the moment; try again later.")


def unknown() -> ServiceError:
    """Of a stream of another key, too: it is as unknown as what never was."""
    return ServiceError(Kind.UNKNOWN, "There is no stream of this id; open one with POST /v1/streams.")
