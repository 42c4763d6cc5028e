"""One file of many through the denoiser: what became of it, for people, scripts and manifests."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from gtcrn import recording
from gtcrn.denoiser import Denoiser
from gtcrn.errors import AudioError, GtcrnError
from gtcrn.plan import Job
from gtcrn.recording import Progress


@dataclass(frozen=True)
class Scoring:
    """What measures an input and its output: `measure` gives a figure for each of `names`, or raises AudioError."""

    names: tuple[str, ...]
    measure: Callable[[Path, Path], dict[str, float]]


@dataclass(frozen=True)
class DenoiseOptions:
    """What holds for every file; see `gtcrn denoise --help`."""

    weights: str | None = None
    attenuation_limit: float | None = None  # dB
    container: str | None = None
    subtype: str | None = None
    bit_rate: int | None = None  # bits a second, of media files
    strict: bool = False
    keep_highs: bool = False
    scoring: Scoring | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one file; `error` is the sentence of its failure, `refused` says that the data were at fault."""

    name: str
    target: str = ""
    seconds: float = 0.0  # of audio
    sample_rate: int = 0  # Hz
    channels: int = 0
    took: float = 0.0  # seconds
    clipped: int = 0  # samples
    nonfinite: int = 0  # samples
    error: str | None = None
    refused: bool = False
    skipped: bool = False
    remark: str | None = None
    scores: dict[str, float] = field(default_factory=dict)

    def named(self, name: str, before: str) -> "Outcome":
        """The same by another name, in what is said too."""
        error, remark = (said and said.replace(before, name) for said in (self.error, self.remark))
        return replace(self, name=name, error=error, remark=remark)


def denoise_file(denoiser: Denoiser, options: DenoiseOptions, job: Job, progress: Progress) -> Outcome:
    """One file. Whatever is wrong with it becomes the outcome's `error`."""
    started, name = time.monotonic(), str(job.source)
    try:
        outcome = _denoise(denoiser, options, job, progress)
    except Exception as error:  # one file must not end a run of many, whatever a library makes of it
        outcome = failure(name, error)
    return replace(outcome, target=str(job.target), took=time.monotonic() - started)


def scored(scoring: Scoring, job: Job, outcome: Outcome) -> Outcome:
    """The outcome with its scores, or with a remark why there are none."""
    try:
        return replace(outcome, scores=scoring.measure(job.source, job.target))
    except AudioError as error:
        return replace(outcome, remark=outcome.remark or f"{job.source} has no scores: {error}")


def failure(name: str, error: Exception) -> Outcome:
    """The outcome of a file over which this was raised, in a sentence that names it."""
    if isinstance(error, GtcrnError):
        sentence = str(error) if name in str(error) else f"{name}: {error}"
        return Outcome(name, error=sentence, refused=type(error) is not GtcrnError)
    if isinstance(error, OSError):
        return Outcome(name, error=f"{name}: {error.strerror or error}.")
    return Outcome(name, error=f"{name}: {type(error).__name__}: {error}.")


def _denoise(denoiser: Denoiser, options: DenoiseOptions, job: Job, progress: Progress) -> Outcome:
    done = recording.denoise_file(
        job.source,
        job.target,
        denoiser,
        attenuation_limit=options.attenuation_limit,
        keep_highs=options.keep_highs,
        container=options.container,
        subtype=options.subtype,
        bit_rate=options.bit_rate,
        overwrite=True,  # the plan has judged that
        strict=options.strict,
        progress=progress,
    )
    return Outcome(
        str(job.source),
        seconds=done.seconds,
        sample_rate=done.sample_rate,
        channels=done.channels,
        clipped=done.clipped,
        nonfinite=done.nonfinite,
        remark=done.remark,
    )


def record(outcome: Outcome) -> dict[str, object]:
    """One file for scripts: what it was and became, seconds of audio and of work, samples that were changed."""
    return {
        "input": outcome.name,
        "output": None if outcome.error else outcome.target,
        "status": "failed" if outcome.error else "skipped" if outcome.skipped else "written",
        "seconds": round(outcome.seconds, 6),
        "sample_rate": outcome.sample_rate or None,
        "channels": outcome.channels or None,
        "times_real_time": round(outcome.seconds / outcome.took, 1) if outcome.took else None,
        "clipped": outcome.clipped,
        "nonfinite": outcome.nonfinite,
        "remark": outcome.remark,
        "error": outcome.error,
        **outcome.scores,
    }
