"""Tasks in processes of their own: one that dies costs the task at work, and none of them outlives the command."""

import contextlib
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar, cast

from gtcrn.cli.signals import Deferral, heed_in_worker, held
from gtcrn.recording import Progress

Task = TypeVar("Task")
Result = TypeVar("Result")
Work = Callable[[Task, Progress], Result]
TELL_SECONDS = 0.1  # between two words of progress: each takes the first process from its core


class Workers(Generic[Task, Result]):
    """A context in which `count` processes work on tasks; `work`, tasks and results are pickled.

    However the block ends, the processes end within two seconds; each cleans up first.
    """

    def __init__(self, work: Work[Task, Result], tasks: Sequence[Task], count: int) -> None:
        self._work, self._left, self._count = work, deque(tasks), count
        self._busy: dict[Connection, Task] = {}
        self._processes: list[BaseProcess] = []

    def __enter__(self) -> "Workers[Task, Result]":
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._processes)

    def results(self, progress: Progress) -> Iterator[tuple[Task, Result | None]]:
        """Tasks and results as they are done, in any order; None where the process died over its task."""
        while self._left or self._busy:
            while self._left and len(self._busy) < self._count:
                self._give(self._start())
            for connection in cast(list[Connection], wait(list(self._busy))):
                try:
                    seconds, *result = connection.recv()
                except (EOFError, OSError):
                    yield self._busy.pop(connection), None
                    continue
                progress(seconds)
                if result:
                    yield self._busy.pop(connection), result[0]
                    self._give(connection)

    def _give(self, connection: Connection) -> None:
        """The next task, if there is one; a process that has none ends as its connection does."""
        if not self._left:
            connection.close()
            return
        self._busy[connection] = self._left.popleft()
        with contextlib.suppress(BrokenPipeError):  # it has died, as the next reading tells
            connection.send(self._busy[connection])

    def _start(self) -> Connection:
        if os.name == "posix":
            resource_tracker.ensure_running()  # it would let the signals through that are held below
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._work), daemon=True)
        with held():  # a Ctrl-C must not meet it before it has handlers
            process.start()
            self._processes.append(process)
        theirs.close()
        return ours


def _serve(connection: Connection, work: Work[Any, Any]) -> None:
    """A process's life: tasks in, news and results out, until there are no more or the parent is gone."""
    heed_in_worker()
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(_do(connection, work, connection.recv()))


def _do(connection: Connection, work: Work[Task, Result], task: Task) -> tuple[float, Result]:
    """A task's result, and the seconds of audio that have not been told yet."""
    untold, told = 0.0, time.monotonic()
    with Deferral() as deferral:

        def progress(seconds: float) -> None:
            nonlocal untold, told
            deferral.check()
            untold += seconds
            if time.monotonic() - told > TELL_SECONDS:
                connection.send((untold,))
                untold, told = 0.0, time.monotonic()

        result = work(task, progress)
    return untold, result


def _end(processes: Sequence[BaseProcess]) -> None:
    """Each is told to end, told again if it takes long, and killed at last; no signal disturbs that."""
    with held():
        for tell, seconds in ((BaseProcess.terminate, 0.8), (BaseProcess.terminate, 0.4), (BaseProcess.kill, 0.4)):
            running = [process for process in processes if process.is_alive()]
            for process in running:
                tell(process)
            _join(running, seconds)


def _join(processes: Sequence[BaseProcess], seconds: float) -> None:
    until = time.monotonic() + seconds
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
