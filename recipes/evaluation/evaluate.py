"""Scoring folders of files: which files belong together, what each scores, and which could not be scored."""

import csv
import math
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import gtcrn
from gtcrn.config import SAMPLE_RATE
from gtcrn.errors import AudioError, ConfigError
from gtcrn.types import Samples
from gtcrn_recipes.data.corpora import audio_files, partner, partners, snr_in_name
from gtcrn_recipes.data.intake import read_mono
from gtcrn_recipes.evaluation import metrics
from gtcrn_recipes.parallel import Jobs, shown

Scores = dict[str, float]

COMPOSITE = ("csig", "cbak", "covl")
DNSMOS = ("ovrl", "sig", "bak", "p808")
WITH_CLEAN = ("pesq", "stoi", "estoi", "si_sdr", *COMPOSITE)
METRICS = (*WITH_CLEAN, *DNSMOS)
ASKED = ("distillmos",)  # scored only where it is named: it needs torch and seconds a file
EVERY = (*METRICS, *ASKED)
KINDS = ("noise", "music", "babble")
TOLERANCE = SAMPLE_RATE // 10  # samples that lengths may differ by; the common part is scored


@dataclass(frozen=True)
class Trial:
    """Files that belong together, and what is known of them."""

    name: str
    noisy: Path
    clean: Path | None = None
    enhanced: Path | None = None
    snr_db: float = math.nan
    kind: str = ""  # of what is to go: noise, music, babble; empty where it is not known

    def __str__(self) -> str:
        return self.name


@dataclass
class Result:
    """Scores of one trial; a metric that failed is absent and named in `faults`."""

    trial: Trial
    noisy: Scores = field(default_factory=dict)
    enhanced: Scores = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0  # of audio
    busy: float = 0.0  # seconds that enhancing it took


def find_trials(
    noisy: Path,
    clean: Path | None = None,
    enhanced: Path | None = None,
    weights: str | None = None,
    table: Path | None = None,
) -> list[Trial]:
    """Trials of a folder of noisy files; partners have the same path below their folder, whatever the extension, or
    the same file id of the DNS-Challenge at its end.

    A partner that is missing makes that trial fail when it is scored; raises ConfigError where no partner exists,
    where enhanced files and `weights` to make them are both given, and GtcrnError where `weights` cannot be read.
    """
    if weights:
        if enhanced:
            raise ConfigError("give either enhanced files or weights that make them, not both.")
        load_denoiser(weights)  # so that a mistake is told once, not for every file
    rows = read_table(table) if table else {}
    cleans, others = (partners(folder) if folder else {} for folder in (clean, enhanced))
    found = []
    for path in audio_files(noisy):
        name = path.relative_to(noisy.resolve()).with_suffix("").as_posix()
        facts = rows.get(name, rows.get(path.stem, Facts(snr_in_name(path.stem))))
        kind = facts.kind or kind_in_name(path.stem)
        found.append(Trial(name, path, beside(clean, cleans, name), beside(enhanced, others, name), facts.snr_db, kind))
    for folder, there in ((clean, cleans), (enhanced, others)):
        if folder and not any(partner(there, trial.name) for trial in found):
            raise ConfigError(f"no file in {folder} has the name of one in {noisy}, such as {found[0].name}.")
    return found


def beside(folder: Path | None, known: dict[str, Path], name: str) -> Path | None:
    """The partner in a folder; one that is missing is told by the name that it should have."""
    return (partner(known, name) or folder / name) if folder else None


class Facts(NamedTuple):
    """What a table tells of a file."""

    snr_db: float
    kind: str = ""


def kind_in_name(name: str) -> str:
    """Which of KINDS a name has among its words, such as 002_music_snr+00; empty for none."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((kind for kind in KINDS if kind in words), "")


def read_table(table: Path) -> dict[str, Facts]:
    """Facts by file name, from a CSV with the columns `name`, `snr_db` and, where there is one, `kind`."""
    if not table.is_file():
        raise ConfigError(f"there is no table {table}.")
    with table.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not {"name", "snr_db"} <= rows[0].keys():
        raise ConfigError(f"{table} must be a CSV file with the columns name and snr_db.")
    try:
        return {
            Path(row["name"]).with_suffix("").as_posix(): Facts(float(row["snr_db"]), row.get("kind") or "")
            for row in rows
        }
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{table} holds an SNR that is no number: {error}.") from error


def chosen(names: str, with_clean: bool) -> tuple[str, ...]:
    """The metrics of a list such as `pesq,estoi`, all of them where it is empty; raises ConfigError for an unknown one.

    Their packages are looked for here, so that a missing one is told once.
    """
    possible = METRICS if with_clean else DNSMOS
    wanted = tuple(name.strip() for name in names.split(",")) if names else possible
    if unknown := sorted(set(wanted) - {*possible, *ASKED}):
        valid = ", ".join((*possible, *ASKED))
        raise ConfigError(f"no metric {unknown[0]!r} without clean files or at all; valid here: {valid}.")
    packages = {"pesq": ("pesq", *COMPOSITE), "pystoi": ("stoi", "estoi"), "speechmos.dnsmos": DNSMOS}
    for package, its in packages.items():
        if set(wanted) & set(its):
            metrics.extra(package)
    if set(wanted) & set(ASKED):
        metrics.extra("distillmos", "mos")
    return wanted


def sounds(trial: Trial, weights: str | None) -> dict[str, Samples]:
    """Samples of a trial by what they are: noisy, enhanced, clean."""
    noisy = read_mono(trial.noisy)
    found = {"noisy": noisy}
    if weights:
        found["enhanced"] = load_denoiser(weights)(noisy, SAMPLE_RATE)
    elif trial.enhanced:
        found["enhanced"] = read_mono(trial.enhanced)
    return found | ({"clean": read_mono(trial.clean)} if trial.clean else {})


def evaluate(
    trials: Sequence[Trial], wanted: Sequence[str] = METRICS, weights: str | None = None, jobs: Jobs = 1
) -> list[Result]:
    """Score every trial by `jobs`; `weights` names a denoiser that makes the enhanced files."""
    denoiser = load_denoiser(weights) if weights else None
    return [result for _, result in shown(partial(score_trial, tuple(wanted), denoiser), trials, jobs, "scoring")]


def score_trial(wanted: tuple[str, ...], denoiser: gtcrn.Denoiser | None, trial: Trial) -> Result:
    result = Result(trial)
    try:
        noisy = read_mono(trial.noisy)
        clean = read_mono(trial.clean) if trial.clean else None
        made = enhance(denoiser, noisy, result) if denoiser else None
        enhanced = read_mono(trial.enhanced) if trial.enhanced and made is None else made
    except AudioError as error:
        result.faults.append(str(error))
        return result
    result.noisy = score(clean, noisy, wanted, "noisy", result.faults)
    if enhanced is not None:
        result.enhanced = score(clean, enhanced, wanted, "enhanced", result.faults)
    return result


def enhance(denoiser: gtcrn.Denoiser, noisy: Samples, result: Result) -> Samples:
    begin = time.perf_counter()
    enhanced = denoiser(noisy, SAMPLE_RATE)
    result.busy, result.seconds = time.perf_counter() - begin, len(noisy) / SAMPLE_RATE
    return enhanced


@cache
def load_denoiser(weights: str) -> gtcrn.Denoiser:
    """Once a process."""
    return gtcrn.load(weights)


def score(
    clean: Samples | None,
    audio: Samples,
    wanted: Iterable[str] = METRICS,
    label: str = "",
    faults: list[str] | None = None,
) -> Scores:
    """Scores of samples at 16 kHz; what fails is left out and, as a sentence, appended to `faults`."""
    scores: Scores = {}
    faults = [] if faults is None else faults
    for names, measure in measures(clean, audio, set(wanted), scores):
        try:
            scores |= {name: value for name, value in measure().items() if name in names}
        except AudioError as error:
            faults.append(f"{label} {'/'.join(sorted(names))}: {error}".strip())
    return scores


def measures(
    clean: Samples | None, audio: Samples, wanted: set[str], done: Scores
) -> Iterable[tuple[set[str], Callable[[], Scores]]]:
    """The wanted metrics as (names, function), those that give several at once together."""
    if clean is not None:
        one = {"pesq": metrics.wb_pesq, "stoi": metrics.stoi, "estoi": metrics.estoi, "si_sdr": metrics.si_sdr}
        for name, metric in one.items():
            if name in wanted:
                yield {name}, partial(scored, name, metric, clean, audio)
        if several := wanted & set(COMPOSITE):
            yield several, lambda: metrics.composite(*aligned(clean, audio), pesq=done.get("pesq"))._asdict()
    if several := wanted & set(DNSMOS):
        yield several, lambda: metrics.dnsmos(audio)
    if "distillmos" in wanted:
        yield {"distillmos"}, lambda: {"distillmos": metrics.distillmos(audio)}


def scored(name: str, metric: Callable[[Samples, Samples], float], clean: Samples, audio: Samples) -> Scores:
    return {name: metric(*aligned(clean, audio))}


def aligned(clean: Samples, audio: Samples) -> tuple[Samples, Samples]:
    """The common part; raises AudioError where the lengths differ by more than 0.1 s."""
    if abs(len(clean) - len(audio)) > TOLERANCE:
        raise AudioError(f"{len(audio)} samples, but {len(clean)} clean ones")
    common = min(len(clean), len(audio))
    return clean[:common], audio[:common]
