"""Work on many files at once, in processes or on Ray: in order, with bounded memory, and a progress bar."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, redirect_stdout
from itertools import islice
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gtcrn.errors import GtcrnError, needs

A = TypeVar("A")
B = TypeVar("B")


class Spread(Protocol):
    """What takes work to other processes; results come in the order of the items."""

    def __call__(self, work: Callable[[A], B], items: Sequence[A], /) -> Iterator[B]: ...


Jobs = int | Spread  # processes on this machine, or what takes the work elsewhere


@contextmanager
def jobs_for(count: int, address: str | None) -> Iterator[Jobs]:
    """`count` processes (0: one a core) or, with the `address` of a Ray, that; "": a Ray of our own with as many cores.

    Raises what `connected` of gtcrn.cluster does. Within the block nothing is printed: Ray tells there who died.
    """
    if address is None:
        yield count or cores()
        return
    with needs("cluster"):
        from gtcrn.cluster.connection import connected
        from gtcrn.cluster.ordered import in_order
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
        stack.enter_context(connected(address or None, count or None))
        yield in_order


def cores() -> int:
    """Cores that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(work: Callable[[A], B], items: Sequence[A], jobs: Jobs) -> Iterator[B]:
    """Results of `work` in the order of `items`, with at most four of them waiting for each process.

    Processes are spawned, not forked: the caller may hold threads or a GPU. One job runs in this process.
    """
    if not isinstance(jobs, int):
        yield from jobs(work, items)
        return
    if jobs <= 1:
        yield from map(work, items)
        return
    with worker_pool(jobs) as pool:
        yield from pool_map(pool, work, items, 4 * jobs)


def pool_map(pool: ProcessPoolExecutor, work: Callable[[A], B], items: Iterable[A], window: int) -> Iterator[B]:
    """Results in order, with at most `window` items handed to the pool and not yet taken back."""
    remaining = iter(items)
    waiting: deque[Future[B]] = deque(pool.submit(work, item) for item in islice(remaining, window))
    while waiting:
        result = waiting.popleft().result()
        waiting.extend(pool.submit(work, item) for item in islice(remaining, 1))
        yield result


@contextmanager
def worker_pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Spawned processes; work that has not begun is dropped when the block is left by an error."""
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), ignore_interrupt)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise GtcrnError("a worker process died, perhaps for want of memory; run again with fewer --jobs.") from error
    finally:
        pool.shutdown(cancel_futures=True)


def ignore_interrupt() -> None:
    """Ctrl-C reaches all processes of a terminal; the one that started these ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def progress(results: Iterable[A], total: int, label: str) -> Iterator[A]:
    """Pass results on while a bar on stderr counts them."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        for result in results:
            yield result
            bar.advance(task)


def shown(work: Callable[[A], B], items: Sequence[A], jobs: Jobs, label: str) -> Iterator[tuple[A, B]]:
    """`ordered_map` with the bar; yields each item beside its result."""
    results = ordered_map(work, items, jobs)
    return zip(items, progress(results, len(items), label), strict=True)
