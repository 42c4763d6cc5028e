"""From the scores of files to what a reader wants: means with intervals, by SNR and by kind, as text and as CSV."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gtcrn_recipes.evaluation.evaluate import EVERY, METRICS, Result

TITLES = {name: name.upper() for name in METRICS}
TITLES |= {"pesq": "WB-PESQ", "si_sdr": "SI-SDR dB", "p808": "P.808", "distillmos": "DistillMOS"}
DISTINCT = 10  # SNRs; more than that are gathered in steps of 5 dB


class Mean(NamedTuple):
    """Mean, half the width of its 95 % interval (normal approximation), and the number of files it rests on."""

    value: float
    half: float
    files: int

    def __str__(self) -> str:
        return f"{self.value:.3f} +-{self.half:.3f}" if self.files else "-"


def mean(values: Sequence[float]) -> Mean:
    if not values:
        return Mean(math.nan, math.nan, 0)
    half = 1.96 * float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return Mean(float(np.mean(values)), half, len(values))


class Comparison(NamedTuple):
    """One metric of a group of files: `change` is of the files that have both scores, pair by pair."""

    noisy: Mean
    enhanced: Mean
    change: Mean


def compare(results: Sequence[Result], metric: str) -> Comparison:
    both = [r for r in results if metric in r.noisy and metric in r.enhanced]
    compared = both or results
    return Comparison(
        mean([r.noisy[metric] for r in compared if metric in r.noisy]),
        mean([r.enhanced[metric] for r in both]),
        mean([r.enhanced[metric] - r.noisy[metric] for r in both]),
    )


def by_snr(results: Sequence[Result]) -> dict[float, list[Result]]:
    """Groups in order of SNR in dB; none where no SNR is known."""
    known = [r for r in results if not math.isnan(r.trial.snr_db)]
    coarse = len({r.trial.snr_db for r in known}) > DISTINCT
    groups: dict[float, list[Result]] = {}
    for result in sorted(known, key=lambda r: r.trial.snr_db):
        snr = result.trial.snr_db
        groups.setdefault(5.0 * round(snr / 5) if coarse else snr, []).append(result)
    return groups


def by_kind(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Groups by what the noise is; none where that is not known of any file."""
    groups: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda r: r.trial.kind or "other"):
        groups.setdefault(result.trial.kind or "other", []).append(result)
    return groups if set(groups) != {"other"} else {}


def scored(results: Sequence[Result]) -> list[str]:
    """The metrics that some file has, in the order of the tables."""
    return [m for m in EVERY if any(m in r.noisy or m in r.enhanced for r in results)]


def report(results: Sequence[Result]) -> str:
    """The tables as plain text: all files, then by SNR and by kind, with intervals, then the real-time factor."""
    present = scored(results)
    sections = [overall_table(results, present)]
    if snrs := {f"{snr:g}": members for snr, members in by_snr(results).items()}:
        sections.append(group_table("SNR dB", snrs, present))
    if kinds := by_kind(results):
        sections.append(group_table("kind", kinds, present))
    if busy := sum(r.busy for r in results):
        rtf = busy / sum(r.seconds for r in results)
        sections.append(f"real-time factor {rtf:.4f} (seconds of one process a second of audio, on this machine)")
    return "\n\n".join(sections)


def overall_table(results: Sequence[Result], present: Sequence[str]) -> str:
    rows = [["", "noisy", "enhanced", "change", "files"]]
    for metric in present:
        means = compare(results, metric)
        rows.append([TITLES[metric], *map(str, means), str(means.noisy.files)])
    return columns(rows)


def group_table(title: str, groups: dict[str, list[Result]], present: Sequence[str]) -> str:
    """A group in two rows, and the change from one to the other with half the width of its 95 % interval."""
    rows = [[title, "files", "", *(TITLES[m] for m in present)]]
    for name, members in groups.items():
        compared = [compare(members, metric) for metric in present]
        rows.append([name, str(len(members)), "noisy", *(short(c.noisy) for c in compared)])
        if any(c.enhanced.files for c in compared):
            rows.append(["", "", "enhanced", *(short(c.enhanced) for c in compared)])
            rows.append(["", "", "change", *(short(c.change, "+") for c in compared)])
            rows.append(["", "", "+-", *(half(c.change) for c in compared)])
    return columns(rows)


def half(value: Mean) -> str:
    return f"{value.half:.3f}" if value.files > 1 else "-"


def short(value: Mean, sign: str = "") -> str:
    return f"{value.value:{sign}.3f}" if value.files else "-"


def columns(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def faults(results: Sequence[Result]) -> list[str]:
    """One line a fault: the file's name and what was wrong."""
    return [f"{result.trial.name}: {fault}" for result in results for fault in result.faults]


def write_csv(path: Path, results: Sequence[Result]) -> None:
    """One row a file; an empty cell where there is no score, columns of what is scored on request where it was."""
    present = {*METRICS, *scored(results)}
    names = [f"{side}_{metric}" for side in ("noisy", "enhanced") for metric in EVERY if metric in present]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["name", "snr_db", "kind", *names, "rtf", "faults"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(csv_row(result) for result in results)


def csv_row(result: Result) -> dict[str, object]:
    sides = {"noisy": result.noisy, "enhanced": result.enhanced}
    scores = {f"{side}_{metric}": f"{value:.6f}" for side, found in sides.items() for metric, value in found.items()}
    rtf = f"{result.busy / result.seconds:.6f}" if result.seconds else ""
    snr = "" if math.isnan(result.trial.snr_db) else f"{result.trial.snr_db:g}"
    told = {"name": result.trial.name, "snr_db": snr, "kind": result.trial.kind}
    return {**told, **scores, "rtf": rtf, "faults": "; ".join(result.faults)}
