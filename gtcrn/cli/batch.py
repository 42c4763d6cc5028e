"""Files through the denoiser: one in this process, many in others; a bad one does not stop the rest."""

import functools
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from gtcrn.audio.files import Source
from gtcrn.audio.formats import media_suffix, target_format
from gtcrn.audio.media import MediaReader, open_audio
from gtcrn.audio.writer import Sink, Writer
from gtcrn.cli.plan import Job
from gtcrn.cli.signals import Deferral
from gtcrn.denoiser import Denoiser, load
from gtcrn.errors import ConfigError, GtcrnError
from gtcrn.stream import Stream

Progress = Callable[[float], None]  # told the seconds of audio that have been worked on since the last call


@dataclass(frozen=True)
class Options:
    """What holds for every file; see `gtcrn denoise --help`."""

    weights: str | None = None
    attenuation_limit: float | None = None  # dB
    container: str | None = None
    subtype: str | None = None
    bit_rate: int | None = None  # bits a second, of media files


@dataclass(frozen=True)
class Outcome:
    """What became of one file; `error` is the sentence of its failure, `refused` says that the data were at fault."""

    name: str
    target: str = ""
    seconds: float = 0.0  # of audio
    took: float = 0.0  # seconds
    clipped: int = 0  # samples
    nonfinite: int = 0  # samples
    error: str | None = None
    refused: bool = False
    skipped: bool = False


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
    return Outcome(source.name, seconds=seconds, clipped=sink.clipped, nonfinite=stream.nonfinite)


def denoise_file(options: Options, job: Job, progress: Progress) -> Outcome:
    """One file. Whatever is wrong with it becomes the outcome's `error`."""
    started, name = time.monotonic(), str(job.source)
    try:
        outcome = _denoise(options, job, progress)
    except GtcrnError as error:
        sentence = str(error) if name in str(error) else f"{name}: {error}"
        outcome = Outcome(name, error=sentence, refused=type(error) is not GtcrnError)
    except OSError as error:
        outcome = Outcome(name, error=f"{name}: {error.strerror or error}.")
    except Exception as error:  # one file must not end a run of many, whatever a library makes of it
        outcome = Outcome(name, error=f"{name}: {type(error).__name__}: {error}.")
    return replace(outcome, target=str(job.target), took=time.monotonic() - started)


def _denoise(options: Options, job: Job, progress: Progress) -> Outcome:
    with open_audio(job.source) as reader:
        suffix = media_suffix(job.target.suffix, options.container)
        if suffix and isinstance(reader, MediaReader):
            return _denoise_media(options, job, suffix, progress)
        with sink_of(job.target, reader, options) as sink:
            return denoise_blocks(_denoiser(options.weights), reader, sink, options.attenuation_limit, progress)


def sink_of(target: Path, source: Source, options: Options) -> AbstractContextManager[Sink]:
    """The file for what comes from a source. Raises AudioError and ConfigError for what it cannot hold."""
    if suffix := media_suffix(target.suffix, options.container):
        from gtcrn.audio.remux import MediaWriter

        return MediaWriter(target, source.format, suffix, options.bit_rate)
    if options.bit_rate:
        raise ConfigError("--bitrate is for M4A, MP4 and the like; libsndfile chooses those of its formats.")
    return Writer(
        target, target_format(source.format, target.suffix, options.container, options.subtype, source.frames)
    )


def _denoise_media(options: Options, job: Job, suffix: str, progress: Progress) -> Outcome:
    from gtcrn.audio.remux import denoise_media

    denoiser = _denoiser(options.weights)

    def enhance(rate: int, channels: int) -> Stream:
        return denoiser.stream(rate, channels, options.attenuation_limit)

    counts = denoise_media(job.source, job.target, suffix, enhance, options.bit_rate, progress)
    name = str(job.source)
    return Outcome(name, seconds=counts.seconds, clipped=counts.clipped, nonfinite=counts.nonfinite)


@functools.cache
def _denoiser(weights: str | None) -> Denoiser:
    """Loaded once in a process."""
    return load(weights)


def run(jobs: Sequence[Job], options: Options, workers: int, progress: Progress) -> Generator[Outcome, None, None]:
    """Outcomes as the files are done. Raises GtcrnError for unusable weights.

    One file is denoised here. Several are denoised by up to `workers` processes: a library that crashes over one of
    them takes no other along.
    """
    _denoiser(options.weights)
    work = functools.partial(denoise_file, options)
    if len(jobs) == 1:
        yield _here(work, jobs[0], progress)
        return
    from gtcrn.cli.workers import Workers

    with Workers(work, jobs, min(workers, len(jobs))) as pool:
        for job, outcome in pool.results(progress):
            name = str(job.source)
            yield outcome or Outcome(name, str(job.target), error=f"{name}: its process ended (out of memory?).")


def _here(work: Callable[[Job, Progress], Outcome], job: Job, progress: Progress) -> Outcome:
    with Deferral() as deferral:

        def advance(seconds: float) -> None:
            deferral.check()
            progress(seconds)

        return work(job, advance)
