"""Several workers on one port: started, started again, ended together, and never left behind."""

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType

from gtcrn_server.processes.metrics import forget
from gtcrn_server.service import FAREWELL_SECONDS
from gtcrn_server.settings import Settings

LOOK_SECONDS = 0.5  # between two looks at who has ended
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds until a worker is started again; doubled while it does not live
LIVED_SECONDS = 60.0  # after which the next end is the first again
ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]

Work = Callable[[Settings, socket.socket, int, Path], None]


class Workers:
    """As many processes as the settings say that do `work` on one socket, and count in one folder."""

    def __init__(self, settings: Settings, bound: socket.socket, metrics: Path, work: Work) -> None:
        self._settings = settings
        ended = partial(forget, metrics)
        places = range(settings.workers)
        self._slots = [Slot(worker, (work, settings, bound, worker, metrics), ended) for worker in places]
        self._stop = threading.Event()

    def run(self) -> None:
        """Until a signal comes and all have finished, or were given the time to."""
        for number in ENDINGS:
            signal.signal(number, self._on_signal)
        while not self._stop.is_set():
            for slot in self._slots:
                slot.look(time.monotonic())
            self._stop.wait(LOOK_SECONDS)
        for slot in self._slots:
            slot.terminate()
        deadline = time.monotonic() + longest_end(self._settings)
        for slot in self._slots:
            slot.join(deadline)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()


class Slot:
    """The place of one worker, whichever process fills it."""

    def __init__(self, worker: int, arguments: tuple[object, ...], ended: Callable[[int], None]) -> None:
        """`ended` is told the id of each process that has."""
        self._worker, self._arguments, self._ended = worker, arguments, ended
        self._process: SpawnProcess | None = None
        self._started = self._due = 0.0
        self._pause = FIRST_PAUSE

    def look(self, now: float) -> None:
        """Start the worker when it is due, and decide when that is, once it has ended."""
        process = self._process
        if process is None and now >= self._due:
            self._process = multiprocessing.get_context("spawn").Process(target=_follow, args=self._arguments)
            self._process.start()
            self._started = now
        elif process is not None and process.exitcode is not None:
            self._process = None
            self._ended(process.pid or 0)
            self._pause = FIRST_PAUSE if now - self._started > LIVED_SECONDS else self._pause
            self._due, pause = now + self._pause, self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            if process.exitcode != 1:  # then it has said itself why
                told = f"gtcrn: worker {self._worker} ended ({process.exitcode}) and starts again in {pause:g} s."
                print(told, file=sys.stderr, flush=True)

    def terminate(self) -> None:
        if self._process:
            self._process.terminate()

    def join(self, deadline: float) -> None:
        """Wait for its end; kill it after that."""
        if self._process:
            self._process.join(max(0.0, deadline - time.monotonic()))
            self._process.kill()


def _follow(work: Work, settings: Settings, bound: socket.socket, worker: int, metrics: Path) -> None:
    """Do the work of one worker; leave as on SIGTERM when the first process is gone, however it went."""
    if hasattr(signal, "SIGHUP"):  # a closed terminal tells all; the first process passes it on as SIGTERM
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        with contextlib.suppress(OSError):
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(longest_end(settings))
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    work(settings, bound, worker, metrics)


def longest_end(settings: Settings) -> float:
    """Seconds from SIGTERM until a worker that is well has ended."""
    return settings.drain_seconds + settings.slow_reader_seconds + FAREWELL_SECONDS + 5
