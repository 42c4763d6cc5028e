"""Signals that end a command: at once, or between two blocks of audio."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def end_on_signals() -> None:
    """From now on SIGTERM and SIGHUP end the command as SIGINT does: whatever is open is cleaned up."""
    for number in _heeded():
        if number != signal.SIGINT:
            signal.signal(number, _end)


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _heeded() -> list[signal.Signals]:
    """Those that whoever started the command has not told it to ignore (nohup, a shell's background jobs)."""
    return [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]


class Deferral:
    """A context in which a signal waits for `check`, so that no step is left half done; a second one ends at once."""

    def __init__(self) -> None:
        self._number: int | None = None

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in _heeded()}
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None:
            self.check()

    def check(self) -> None:
        """End here if a signal has come: SystemExit with 128 + its number."""
        if self._number is not None:
            sys.exit(128 + self._number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.check()
        self._number = number


@contextmanager
def held() -> Iterator[None]:
    """Signals wait until the block is over; a process that it starts has them held back until it says otherwise."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def heed_in_worker() -> None:
    """What a process that was started while signals were held does first: Ctrl-C is the parent's, the rest ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in ENDING:
        if number != signal.SIGINT:
            signal.signal(number, _end)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
