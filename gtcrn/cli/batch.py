"""Files through the denoiser: one in this process, many in others; a bad one does not stop the rest."""

import functools
from collections.abc import Callable, Generator, Sequence

from gtcrn.cli.signals import Deferral
from gtcrn.denoiser import Denoiser, load
from gtcrn.outcome import DenoiseOptions, Outcome, denoise_file
from gtcrn.plan import Job
from gtcrn.recording import Progress


def work_on(options: DenoiseOptions, job: Job, progress: Progress) -> Outcome:
    """One file, with the weights of this process."""
    return denoise_file(_denoiser(options.weights), options, job, progress)


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
    work = functools.partial(work_on, options)
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
