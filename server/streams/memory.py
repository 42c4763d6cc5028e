"""REST streams in the memory of the worker that opened them: all there is without Redis."""

import re
from collections import OrderedDict
from time import monotonic

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.streams.held import Ask, Held, Reply, late, unknown

REMEMBERED = 1024  # streams that are over and of which it is still known how they ended,
REMEMBERED_BYTES = 16_000_000  # with tails of so many bytes


class MemoryStreams:
    """Streams of one of `workers` processes; what is over is remembered, without its audio state, for as long as one
    may be idle."""

    def __init__(self, worker: int = 0, workers: int = 1) -> None:
        self._worker, self._workers = worker, workers
        self._open: dict[str, Held] = {}
        self._over: OrderedDict[str, Held] = OrderedDict()

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def leave(self) -> None:
        """Nobody else can take them."""

    async def put(self, held: Held) -> None:
        self._open[held.identity] = held

    async def ask(self, ask: Ask) -> Reply:
        """Raises ServiceError (421) for a stream of another worker, too."""
        held = self.get(ask.identity, ask.owner)
        held.touched = monotonic()
        async with held.lock:
            reply = await held.obey(ask)
        if held.state != "open":
            self._bury(held)
        return reply

    def get(self, identity: str, owner: str) -> Held:
        """The stream, open or over; raises ServiceError where there is none of this id and owner."""
        held = self._open.get(identity) or self._over.get(identity)
        if held is None and self._is_elsewhere(identity):
            sentence = "Another worker has the stream: ask on the connection that opened it, or give the service Redis."
            raise ServiceError(Kind.ELSEWHERE, sentence)
        if held is None or held.owner != owner:
            raise unknown()
        return held

    def expire(self, touched: float, opened: float) -> None:
        for held in [held for held in self._open.values() if late(held, touched, opened)]:
            held.close("expired")
            held.touched = monotonic()
            self._bury(held)
        while self._over and next(iter(self._over.values())).touched < touched:
            self._over.popitem(last=False)

    def _is_elsewhere(self, identity: str) -> bool:
        found = re.match(r"(\d{1,3})-", identity)
        return found is not None and int(found[1]) != self._worker and int(found[1]) < self._workers

    def _bury(self, held: Held) -> None:
        self._open.pop(held.identity, None)
        self._over[held.identity] = held
        self._over.move_to_end(held.identity)
        while len(self._over) > REMEMBERED or sum(len(each.answer) for each in self._over.values()) > REMEMBERED_BYTES:
            self._over.popitem(last=False)
