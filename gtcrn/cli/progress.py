"""Progress bars: seconds of audio done of all, how many times faster than real time, and what is left."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import soundfile

from gtcrn.plan import Job

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


@contextmanager
def progress_bar(jobs: Sequence[Job]) -> Iterator[Callable[[float], None]]:
    """A bar on standard error; the value is called with the seconds of audio that were done since the last call."""
    done = 0.0
    with _bar() as (bar, speed):
        title = f"{len(jobs)} files" if len(jobs) > 1 else jobs[0].source.name
        task = bar.add_task(title, total=_seconds(jobs), speed="")

        def advance(seconds: float) -> None:
            nonlocal done
            done += seconds
            bar.update(task, advance=seconds, speed=speed(done))

        yield advance


@contextmanager
def files_bar() -> Iterator[Callable[[int, int, float], None]]:
    """A bar of files, whose headers nobody has read: told how many of how many are done, and seconds of audio."""
    with _bar() as (bar, speed):
        task = bar.add_task("starting", total=None, speed="")

        def show(done: int, planned: int, seconds: float) -> None:
            title = f"{done} of {planned} files"
            bar.update(task, completed=done, total=planned, description=title, speed=speed(seconds))

        yield show


@contextmanager
def _bar() -> "Iterator[tuple[Bar, Callable[[float], str]]]":
    """And what says how many times faster than real time so many seconds of audio were done."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    started = time.monotonic()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]}"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        yield bar, lambda seconds: f"{seconds / max(time.monotonic() - started, 1e-6):.0f}x real time"


def _seconds(jobs: Sequence[Job]) -> float:
    """Length of all inputs by their headers; those that cannot be read count nothing, and fail later."""
    return sum(_duration(job) for job in jobs)


def _duration(job: Job) -> float:
    if not job.source.is_file():  # to open a pipe would wait for its other end
        return 0.0
    try:
        return float(soundfile.info(os.fsencode(job.source)).duration)
    except (soundfile.LibsndfileError, OSError, ValueError, TypeError):  # the last: samples without a header
        return 0.0
