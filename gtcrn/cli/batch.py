"""Files through the denoiser: one in this process, many in others; a bad one does not stop the rest."""

import functools
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from gtcrn import recording
from gtcrn.cli.plan import Job
from gtcrn.cli.signals import Deferral
from gtcrn.denoiser import Denoiser, load
from gtcrn.errors import GtcrnError
from gtcrn.recording import Progress


@dataclass(frozen=True)
class DenoiseOptions:
    """What holds for every file; see `gtcrn denoise --help`."""

    weights: str | None = None
    attenuation_limit: float | None = None  # dB
    container: str | None = None
    subtype: str | None = None
    bit_rate: int | None = None  # bits a second, of media files
    strict: bool = False


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
    remark: str | None = None


def denoise_file(options: DenoiseOptions, job: Job, progress: Progress) -> Outcome:
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


def _denoise(options: DenoiseOptions, job: Job, progress: Progress) -> Outcome:
    done = recording.denoise_file(
        job.source,
        job.target,
        _denoiser(options.weights),
        attenuation_limit=options.attenuation_limit,
        container=options.container,
        subtype=options.subtype,
        bit_rate=options.bit_rate,
        overwrite=True,  # the plan has judged that
        strict=options.strict,
        progress=progress,
    )
    return Outcome(
        str(job.source), seconds=done.seconds, clipped=done.clipped, nonfinite=done.nonfinite, remark=done.remark
    )


@functools.cache
def _denoiser(weights: str | None) -> Denoiser:
    """Loaded once in a process."""
    return load(weights)


def run(
    jobs: Sequence[Job], options: DenoiseOptions, workers: int, progress: Progress
) -> Generator[Outcome, None, None]:
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
