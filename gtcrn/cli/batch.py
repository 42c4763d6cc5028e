"""Files through the denoiser: one after another or in several processes; a bad one does not stop the others."""

import contextlib
import functools
import multiprocessing
import multiprocessing.process
import os
import queue
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from gtcrn.audio.files import Reader, Source
from gtcrn.audio.formats import target_format
from gtcrn.audio.writer import Sink, Writer
from gtcrn.cli.plan import Job
from gtcrn.denoiser import Denoiser, load
from gtcrn.errors import GtcrnError

Progress = Callable[[float], None]  # told the seconds of audio that have been worked on since the last call

POLL_SECONDS = 0.2  # between looks at the progress of other processes


@dataclass(frozen=True)
class Options:
    """What holds for every file; see `gtcrn denoise --help`."""

    weights: str | None = None
    attenuation_limit: float | None = None  # dB
    container: str | None = None
    subtype: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one file; `error` is the sentence of its failure, `refused` says that the data were at fault."""

    name: str
    seconds: float = 0.0  # of audio
    clipped: int = 0  # samples
    nonfinite: int = 0  # samples
    error: str | None = None
    refused: bool = False


def denoise_blocks(
    denoiser: Denoiser, source: Source, sink: Sink, attenuation_limit: float | None, progress: Progress
) -> Outcome:
    """All blocks of a source through a stream of its own into a sink."""
    rate, seconds = source.format.sample_rate, 0.0
    stream = denoiser.stream(rate, source.format.channels, attenuation_limit)
    for block in source.blocks():
        sink.write(stream.push(block))
        progress(block.shape[1] / rate)
        seconds += block.shape[1] / rate
    sink.write(stream.flush())
    return Outcome(source.name, seconds, sink.clipped, stream.nonfinite)


def denoise_file(job: Job, options: Options, progress: Progress) -> Outcome:
    """One file. What is wrong with it becomes the outcome's `error`."""
    name = str(job.source)
    try:
        with Reader(job.source) as reader:
            form = target_format(reader.format, job.target.suffix, options.container, options.subtype, reader.frames)
            with Writer(job.target, form) as writer:
                return denoise_blocks(_denoiser(options.weights), reader, writer, options.attenuation_limit, progress)
    except GtcrnError as error:
        sentence = str(error) if name in str(error) else f"{name}: {error}"
        return Outcome(name, error=sentence, refused=type(error) is not GtcrnError)
    except OSError as error:
        return Outcome(name, error=f"{name}: {error.strerror or error}.")


@functools.cache
def _denoiser(weights: str | None) -> Denoiser:
    """Loaded once in a process."""
    return load(weights)


def run(jobs: Sequence[Job], options: Options, workers: int, progress: Progress | None) -> Iterator[Outcome]:
    """Outcomes as the files are done, by this process or `workers` others. Raises GtcrnError for unusable weights."""
    _denoiser(options.weights)
    if workers <= 1 or len(jobs) <= 1:
        yield from (denoise_file(job, options, progress or _nothing) for job in jobs)
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # of each worker: they are parallel already
    context = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        news = stack.enter_context(context.Manager()).Queue() if progress else None
        others = set(multiprocessing.active_children())
        pool = stack.enter_context(ProcessPoolExecutor(min(workers, len(jobs)), context, _prepare_worker))
        try:
            futures = {pool.submit(_in_worker, job, options, news): job for job in jobs}
            yield from _gather(futures, news, progress or _nothing)
        except BaseException:
            _end(pool, set(multiprocessing.active_children()) - others)
            raise


def _gather(futures: dict["Future[Outcome]", Job], news: Any, progress: Progress) -> Iterator[Outcome]:
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=POLL_SECONDS)
        with contextlib.suppress(queue.Empty):
            while news is not None:
                progress(news.get_nowait())
        for future in done:
            try:
                yield future.result()
            except BrokenProcessPool:
                name = str(futures[future].source)
                yield Outcome(name, error=f"{name}: its process ended unexpectedly (out of memory?).")


def _in_worker(job: Job, options: Options, news: Any) -> Outcome:
    return denoise_file(job, options, news.put if news is not None else _nothing)


def _prepare_worker() -> None:
    """Ctrl-C reaches all processes of a terminal: the first one decides and ends the others, which then clean up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _end(pool: ProcessPoolExecutor, workers: set[multiprocessing.process.BaseProcess]) -> None:
    """After an interruption: nothing new is begun, and what runs is told to clean up and end."""
    pool.shutdown(wait=False, cancel_futures=True)
    for process in workers:
        process.terminate()


def _nothing(seconds: float) -> None:
    """For runs that nobody watches."""
