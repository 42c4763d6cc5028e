"""The progress bar: seconds of audio done of all, how many times faster than real time, and what is left."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import soundfile

from gtcrn.cli.plan import Job


@contextmanager
def progress_bar(jobs: Sequence[Job]) -> Iterator[Callable[[float], None]]:
    """A bar on standard error; the value is called with the seconds of audio that were done since the last call."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    started, done = time.monotonic(), 0.0
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[speed]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        title = f"{len(jobs)} files" if len(jobs) > 1 else jobs[0].source.name
        task = bar.add_task(title, total=_seconds(jobs), speed="")

        def advance(seconds: float) -> None:
            nonlocal done
            done += seconds
            factor = done / max(time.monotonic() - started, 1e-6)
            bar.update(task, advance=seconds, speed=f"{factor:.0f}x real time")

        yield advance


def _seconds(jobs: Sequence[Job]) -> float:
    """Length of all inputs by their headers; those that cannot be read count nothing, and fail later."""
    return sum(_duration(job) for job in jobs)


def _duration(job: Job) -> float:
    try:
        return float(soundfile.info(str(job.source)).duration)
    except (soundfile.LibsndfileError, OSError):
        return 0.0
