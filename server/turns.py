"""Whose turn it is. Audio that is due is worked on at once; what is ahead of real time, and whatever else a client
makes the service do, waits until nothing that is due waits, one piece at a time.

Time is given out, not places: a stream is due as much work as real time has passed, so that one that is ahead falls
back on what it is due when the service is busy, and gets all that is left over when it is not.
"""

import asyncio
import functools
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from time import monotonic
from typing import TypeVar

from gtcrn_server.native import Pace

Work = Callable[[bool], None]
Result = TypeVar("Result")

BURST = 0.5  # seconds of audio that may come at once: what a network holds back and then delivers
TOLERANCE = 1.05  # a client's clock may be so much faster than ours
LEAST = 0.005  # seconds of audio that a message counts for at least: it costs something, however short it is


def new_pace() -> Pace:
    """How much of one stream is due."""
    return Pace(BURST, TOLERANCE, LEAST)


class Turns:
    """The turns of one event loop."""

    def __init__(self) -> None:
        self.due = 0  # pieces of work that were due, so far
        self._seen = 0  # of these, at the last look
        self._waiting: OrderedDict[Work, asyncio.TimerHandle] = OrderedDict()
        self._looking = False

    def ask(self, work: Work, wait: float) -> None:
        """Call `work` once: when nothing is due (with True), or in `wait` seconds (with False)."""
        loop = asyncio.get_running_loop()
        self._waiting[work] = loop.call_later(wait, self._call, work, False)
        if not self._looking:
            self._looking, self._seen = True, self.due
            loop.call_soon(self._look)

    def drop(self, work: Work) -> None:
        """It does not wait any more, if it did."""
        if timer := self._waiting.pop(work, None):
            timer.cancel()

    async def turn(self, wait: float) -> bool:
        """Return when nothing is due (True), or after `wait` seconds (False)."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        work = functools.partial(_wake, future)
        self.ask(work, wait)
        try:
            return await future
        finally:
            self.drop(work)

    async def pace(self, pace: Pace, seconds: float) -> None:
        """Return when so many more seconds of audio are due, or earlier, when nothing else is."""
        while wait := pace.take(seconds, monotonic()):
            if await self.turn(wait):
                return
        self.due += 1

    def _call(self, work: Work, idle: bool) -> None:
        self.drop(work)
        work(idle)

    def _look(self) -> None:
        """Once each time the loop has looked for input: if none of it was due, the first that waits has its turn."""
        if self.due == self._seen and self._waiting:
            self._call(next(iter(self._waiting)), True)
        self._seen = self.due
        self._looking = bool(self._waiting)
        if self._looking:
            asyncio.get_running_loop().call_soon(self._look)


async def beside(executor: Executor | None, work: Callable[[], Result]) -> Result:
    """Await `work` in a thread; when cancelled too, since it uses what is then let go."""
    future = asyncio.get_running_loop().run_in_executor(executor, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


def _wake(future: asyncio.Future[bool], idle: bool) -> None:
    if not future.done():
        future.set_result(idle)
