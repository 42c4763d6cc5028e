"""Where REST streams live between two requests: an interface, and this process's memory behind it.

A shared store can follow: of a `Held` only its Stream is more than a few bytes, and that has a snapshot.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.live import Live

if TYPE_CHECKING:
    from gtcrn_server.service import Place

REMEMBERED = 1024  # streams that are over and of which it is still known how they ended


@dataclass
class Held:
    """A REST stream between two requests. Times are those of the event loop's clock, in seconds."""

    identity: str
    owner: str  # the caller's key, digested
    live: Live | None
    place: "Place"
    opened: float
    touched: float
    sequence: int = 0  # of the next frames
    answer: bytes = b""  # to the last request that was applied, for a retry
    state: Literal["open", "ended", "expired"] = "open"
    counts: dict[str, str] = field(default_factory=dict)  # what is told of its samples, once it has ended
    busy: bool = False  # a request is being answered


class StreamStore(Protocol):
    """What a store of streams must do."""

    def get(self, identity: str, owner: str) -> Held:
        """The stream, open or ended; raises ServiceError for one that is unknown (404) or has expired (410).

        What belongs to another key is as unknown as what never was.
        """

    def put(self, held: Held) -> None:
        """Keep the stream as it is now."""

    def expire(self, touched: float, opened: float) -> None:
        """Let go of streams not touched since `touched` or opened before `opened`; their places are free again."""


class MemoryStore:
    """Streams of this process; what is over is remembered for a while, without its audio state."""

    def __init__(self) -> None:
        self._open: dict[str, Held] = {}
        self._over: OrderedDict[str, Held] = OrderedDict()

    def get(self, identity: str, owner: str) -> Held:
        held = self._open.get(identity) or self._over.get(identity)
        if held is None or held.owner != owner:
            raise ServiceError(Kind.UNKNOWN, "There is no stream of this id; open one with POST /v1/streams.")
        if held.state == "expired":
            raise ServiceError(Kind.GONE, "The stream was idle or open for too long and has expired; open another.")
        return held

    def put(self, held: Held) -> None:
        if held.state == "open":
            self._open[held.identity] = held
            return
        held.live = None
        self._open.pop(held.identity, None)
        self._over[held.identity] = held
        if len(self._over) > REMEMBERED:
            self._over.popitem(last=False)

    def expire(self, touched: float, opened: float) -> None:
        late = [h for h in self._open.values() if not h.busy and (h.touched < touched or h.opened < opened)]
        for held in late:
            held.state, held.answer = "expired", b""
            held.place.give()
            self.put(held)
