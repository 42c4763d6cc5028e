"""`gtcrn bench --peers`: what a frame costs and how it sounds, ours beside others', in one run on one core."""

import contextlib
import os
import shlex
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gtcrn.cli.peers import PEERS, Peer, Step
from gtcrn.errors import ConfigError, needs
from gtcrn.types import Samples

RUNS = 5  # rounds through all peers; medians are reported
SECONDS = 1.0  # of audio in one round
RATE = 16_000
FRAME = 0.016  # seconds that a cost is told for
FARTHEST = 0.2  # seconds of delay that a peer may have
SCORES = ("pesq", "estoi", "si_sdr")


@dataclass
class Line:
    """One peer's figures; `skipped` says why it has none."""

    peer: Peer
    microseconds: float = 0.0  # of one core for 16 ms of audio
    scores: dict[str, float] = field(default_factory=dict)
    skipped: str = ""


def report(pairs: Path | None, plot: Path | None, machine: str) -> None:
    """Print the table, and draw the picture where one is wanted."""
    lines = compare(pairs)
    print(markdown(lines, machine))
    if plot:
        draw(lines, plot)


def compare(pairs: Path | None, names: Sequence[str] = ()) -> list[Line]:
    """Cost of every peer that is installed (or only of these names), and the mean scores on a folder of pairs.

    `pairs` holds noisy/ and clean/ with files of the same names. Raises ConfigError for unknown names and a folder
    without pairs, AudioError for a file that cannot be read; what cannot be scored is told on stderr and left out.
    """
    if unknown := set(names) - {peer.name for peer in PEERS}:
        raise ConfigError(f"no peer is called {min(unknown)!r}; there are {', '.join(peer.name for peer in PEERS)}.")
    lines = [_opened(peer) for peer in PEERS if not names or peer.name in names]
    running = [line for line in lines if not line.skipped]
    with one_core():
        _time(running)
    if pairs:
        noisy = Line(Peer("noisy", "", RATE, 0, lambda: lambda samples: samples))
        for line in (noisy, *(line for line in running if not line.peer.same)):
            line.scores = _mean_scores(line.peer, pairs)
        lines.insert(0, noisy)
    return lines


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """This process and its threads on one processor, where the system can do that: others' thread pools too."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    _bind({max(before)})
    try:
        yield
    finally:
        _bind(before)


def _bind(processors: set[int]) -> None:
    """Every thread that there is: later ones inherit it from those that start them."""
    tasks = Path("/proc/self/task")
    for thread in map(int, os.listdir(tasks) if tasks.exists() else [0]):
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(thread, processors)


def _opened(peer: Peer) -> Line:
    try:
        peer.open()
    except ImportError as error:
        packages = shlex.join(peer.package.split())
        return Line(peer, skipped=f"{error.name or peer.package} is not installed (pip install {packages})")
    except Exception as error:  # a library or weights that its wheel lacks, in whatever words it says so
        return Line(peer, skipped=f"it does not start: {' '.join(str(error).split())}")
    return Line(peer)


def _time(lines: Sequence[Line]) -> None:
    """Rounds through all of them, so that what else the machine does meets each alike; the first warms up."""
    steps = [line.peer.open() for line in lines]
    taken: list[list[float]] = [[] for _ in lines]
    for _ in range(RUNS + 1):
        for line, step, times in zip(lines, steps, taken, strict=True):
            times.append(_seconds(line.peer, step))
    for line, times in zip(lines, taken, strict=True):
        line.microseconds = 1e6 * FRAME / SECONDS * statistics.median(times[1:])


def _seconds(peer: Peer, step: Step) -> float:
    """Of processor time, its threads' too: others who share the core make slow peers wait longer than quick ones."""
    samples = 0.1 * np.random.default_rng(0).standard_normal(int(SECONDS * peer.rate)).astype(np.float32)
    pieces = _pieces(peer, samples)
    start = time.process_time()
    for piece in pieces:
        step(piece)
    return time.process_time() - start


def _pieces(peer: Peer, samples: Samples) -> list[Samples]:
    """Whole hops; the last is filled up with silence."""
    if not peer.hop:
        return [samples]
    padded = np.concatenate((samples, np.zeros(-len(samples) % peer.hop, np.float32)))
    return list(padded.reshape(-1, peer.hop))


def enhanced(peer: Peer, noisy: Samples) -> Samples:
    """A 16 kHz recording through a fresh peer: resampled as it wants, and moved back by its delay."""
    with needs("eval"):
        import soxr

    tail = np.zeros(int(FARTHEST * RATE), np.float32)
    there = soxr.resample(np.concatenate((noisy, tail)), RATE, peer.rate, quality="VHQ")
    step = peer.open()
    out = np.concatenate([step(piece) for piece in _pieces(peer, there)])
    back = soxr.resample(out, peer.rate, RATE, quality="VHQ").astype(np.float32)
    late = delay(noisy, back)
    return np.pad(back[late : late + len(noisy)], (0, max(0, len(noisy) - max(0, len(back) - late))))


def delay(reference: Samples, late: Samples) -> int:
    """Samples by which one recording is later than another, by their cross-correlation: 0 to 0.2 s."""
    size = 1 << (len(reference) + len(late)).bit_length()
    product = np.fft.irfft(np.fft.rfft(late, size) * np.fft.rfft(reference, size).conj())
    return int(np.argmax(product[: int(FARTHEST * RATE)]))


def _mean_scores(peer: Peer, pairs: Path) -> dict[str, float]:
    with needs("eval"):
        from gtcrn_recipes.data.intake import read_mono
        from gtcrn_recipes.evaluation.evaluate import find_trials, score
        from gtcrn_recipes.evaluation.scoreboard import mean
        from gtcrn_recipes.parallel import progress

    trials = find_trials(pairs / "noisy", pairs / "clean")
    faults: list[str] = []
    found = [
        score(read_mono(clean), enhanced(peer, read_mono(noisy)), SCORES, f"{peer.name}, {name}:", faults)
        for name, noisy, clean in progress(((t.name, t.noisy, t.clean) for t in trials), len(trials), peer.name)
        if clean
    ]
    for fault in faults:
        print(f"not scored: {fault}", file=sys.stderr)
    return {name: mean([scores[name] for scores in found if name in scores]).value for name in SCORES}


def markdown(lines: Sequence[Line], machine: str) -> str:
    """The figures as a table, cheapest first, and what was skipped."""
    scored = any(line.scores for line in lines)
    head = ["", "us for 16 ms", "streams a core", *(("WB-PESQ", "ESTOI", "SI-SDR dB") if scored else ())]
    rows = [head, ["---"] * len(head)]
    for line in sorted((line for line in lines if not line.skipped), key=lambda line: line.microseconds):
        rows.append([line.peer.name, *_cost(line), *(_score(line) if scored else ())])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    skipped = "".join(f"\nskipped: {line.peer.name}: {line.skipped}" for line in lines if line.skipped)
    return f"{machine}; one core, medians of {RUNS} rounds\n\n{table}\n{skipped}"


def _cost(line: Line) -> tuple[str, str]:
    cost = line.microseconds
    return (f"{cost:.0f}", f"{1e6 * FRAME / cost:.0f}") if cost else ("", "")


def _score(line: Line) -> tuple[str, str, str]:
    if not line.scores:
        return ("as ours", "", "")
    pesq, estoi, si_sdr = (line.scores[name] for name in SCORES)
    return f"{pesq:.3f}", f"{estoi:.3f}", f"{si_sdr:.1f}"


def draw(lines: Sequence[Line], path: Path) -> None:
    """Quality against cost, a dot a peer. Raises ConfigError where there are no scores to draw."""
    if not any(line.scores for line in lines):
        raise ConfigError("a picture of quality against cost needs --pairs.")
    with needs("eval"):
        from gtcrn_recipes.evaluation.plots import new_figure, save

    figure = new_figure(7, 4.5)
    axes = figure.subplots()
    scored = [line for line in lines if line.scores]
    for line in scored:
        cost, pesq = line.microseconds, line.scores["pesq"]
        if cost:
            axes.plot(cost, pesq, "o")
            above = -17 if any(_is_right_above(other, line) for other in scored) else 7
            axes.annotate(line.peer.name, (cost, pesq), (0, above), textcoords="offset points", ha="center")
        else:
            axes.axhline(pesq, color="grey", linestyle=":", label=line.peer.name)
    axes.set(xscale="log", xlabel="microseconds of one core for 16 ms of audio", ylabel="WB-PESQ")
    axes.margins(0.15)
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, path)


def _is_right_above(other: Line, line: Line) -> bool:
    """Whether its dot in the picture leaves no room for a name between them."""
    better = other.scores["pesq"] - line.scores["pesq"]
    return 0 < better < 0.1 and line.microseconds / 2 < other.microseconds < 2 * line.microseconds
