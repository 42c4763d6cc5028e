"""Pictures of an evaluation: metrics by SNR and by kind, PESQ before and after, spectrograms."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gtcrn.config import SAMPLE_RATE
from gtcrn.types import Samples
from gtcrn_recipes.evaluation.evaluate import Result
from gtcrn_recipes.evaluation.metrics import extra
from gtcrn_recipes.evaluation.scoreboard import TITLES, Comparison, by_kind, by_snr, compare, scored

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXAMPLES = 3  # of the worst and of the best files
WINDOW, HOP = 512, 128  # samples of the spectrograms
FLOOR_DB = -80.0  # below the loudest bin

Listen = Callable[[Result], dict[str, Samples]]  # samples of a result by title: noisy, enhanced, clean


def draw_all(folder: Path, results: Sequence[Result], listen: Listen) -> list[Path]:
    """Write what the results allow as PNG files to `folder`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    if snrs := by_snr(results):
        drawn.append(save(metrics_by(snrs, "SNR dB"), folder / "by_snr.png"))
    if kinds := by_kind(results):
        drawn.append(save(metrics_by(kinds, "kind", ""), folder / "by_kind.png"))
    if any("pesq" in r.noisy and "pesq" in r.enhanced for r in results):
        drawn.append(save(before_after(results), folder / "pesq_before_after.png"))
    for label, result in extremes(results):
        drawn.append(save(spectrograms(result, listen(result)), folder / f"{label}.png"))
    return drawn


def save(figure: "Figure", path: Path) -> Path:
    figure.savefig(path, dpi=120)
    return path


def new_figure(width: float, height: float) -> "Figure":
    """A figure outside pyplot: no window system and no global state."""
    figure: Figure = extra("matplotlib.figure").Figure((width, height), layout="constrained")
    return figure


def metrics_by(
    groups: Mapping[float, list[Result]] | Mapping[str, list[Result]], label: str, line: str = "-"
) -> "Figure":
    """Means with 95 % intervals, one panel a metric; `line` joins the groups where they have an order."""
    places: list[float | str] = [*groups]
    members = list(groups.values())
    present = scored([result for group in members for result in group])
    rows = -(-len(present) // 4)
    figure = new_figure(12, 2.6 * rows)
    panels = np.ravel(figure.subplots(rows, 4, squeeze=False))
    for axes, metric in zip(panels, present, strict=False):
        metric_panel(axes, metric, places, [compare(group, metric) for group in members], line)
        axes.set_xlabel(label)
    for axes in panels[len(present) :]:
        axes.set_visible(False)
    return figure


def metric_panel(
    axes: "Axes", metric: str, places: Sequence[float | str], compared: list[Comparison], line: str
) -> None:
    for side in ("noisy", "enhanced"):
        means = [getattr(comparison, side) for comparison in compared]
        if any(m.files for m in means):
            halves = [m.half for m in means]
            axes.errorbar(places, [m.value for m in means], halves, marker=".", linestyle=line, capsize=3, label=side)
    axes.set_title(TITLES[metric])
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def before_after(results: Sequence[Result]) -> "Figure":
    """WB-PESQ of each file, noisy across, enhanced up; files above the diagonal gained."""
    both = [r for r in results if "pesq" in r.noisy and "pesq" in r.enhanced]
    figure = new_figure(5.5, 5)
    axes = figure.subplots()
    snr = [r.trial.snr_db for r in both]
    points = axes.scatter([r.noisy["pesq"] for r in both], [r.enhanced["pesq"] for r in both], c=snr, s=14)
    if np.isfinite(snr).any():
        figure.colorbar(points, label="SNR dB")
    axes.axline((1, 1), slope=1, color="grey", linewidth=1)
    axes.set(xlabel="WB-PESQ noisy", ylabel="WB-PESQ enhanced")
    return figure


def extremes(results: Sequence[Result]) -> list[tuple[str, Result]]:
    """Up to EXAMPLES files each with the smallest and largest gain in PESQ, or by PESQ where nothing was enhanced."""
    enhanced = any(r.enhanced for r in results)
    scored = [r for r in results if "pesq" in r.noisy and ("pesq" in r.enhanced or not enhanced)]
    ordered = sorted(scored, key=lambda r: (r.enhanced["pesq"] - r.noisy["pesq"]) if enhanced else r.noisy["pesq"])
    count = min(EXAMPLES, len(ordered) // 2)
    worst, best = ordered[:count], ordered[len(ordered) - count :][::-1]
    return [(f"{label}_{i + 1}", r) for label, some in (("worst", worst), ("best", best)) for i, r in enumerate(some)]


def spectrograms(result: Result, sounds: dict[str, Samples]) -> "Figure":
    """One panel a version of the file, all on one scale of levels."""
    figure = new_figure(10, 2.3 * len(sounds))
    top = max(float(levels(audio).max()) for audio in sounds.values())
    rows = np.ravel(figure.subplots(len(sounds), 1, squeeze=False))
    for axes, (title, audio) in zip(rows, sounds.items(), strict=True):
        panel(axes, levels(audio), top, len(audio) / SAMPLE_RATE)
        score = {"noisy": result.noisy, "enhanced": result.enhanced}.get(title, {}).get("pesq")
        axes.set(title=title + (f", WB-PESQ {score:.2f}" if score else ""), ylabel="kHz")
    figure.suptitle(result.trial.name)
    return figure


def panel(axes: "Axes", level: Samples, top: float, seconds: float) -> None:
    extent = (0.0, seconds, 0.0, SAMPLE_RATE / 2000)
    axes.imshow(level, origin="lower", aspect="auto", extent=extent, vmin=top + FLOOR_DB, vmax=top, cmap="magma")


def levels(audio: Samples) -> Samples:
    """Spectrogram in dB, (bins, frames)."""
    padded = np.pad(audio, (0, max(0, WINDOW - len(audio))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP] * np.hanning(WINDOW)
    power: Samples = np.abs(np.fft.rfft(frames, axis=1).T) ** 2
    decibels: Samples = 10 * np.log10(power + 1e-12)
    return decibels
