"""What denoising did to a recording, without a clean one: DNSMOS before and after, the level of what it took away."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gtcrn.audio.files import Source
from gtcrn.audio.media import open_audio
from gtcrn.config import SAMPLE_RATE
from gtcrn.outcome import Scoring
from gtcrn.types import Samples
from gtcrn_recipes.data.intake import mono
from gtcrn_recipes.evaluation import metrics
from gtcrn_recipes.evaluation.evaluate import DNSMOS

SECONDS = 20  # from the middle of a recording: DNSMOS takes far longer than denoising
SIDES = ("noisy", "enhanced")
REMOVED = "removed_dbfs"
NAMES = (*(f"{side}_{name}" for side in SIDES for name in DNSMOS), REMOVED)
FLOOR = 1e-12  # mean square: where nothing was taken away, that is -120 dBFS


def scoring() -> Scoring:
    """For `gtcrn.cluster.denoise_files`. Raises ConfigError where the extra `eval` is not installed."""
    metrics.extra("speechmos.dnsmos")
    return Scoring(NAMES, before_and_after)


def before_and_after(noisy: Path, enhanced: Path) -> dict[str, float]:
    """DNSMOS of both as `noisy_ovrl`, `enhanced_ovrl`, ..., and `removed_dbfs`, the level of their difference.

    Of the middle `SECONDS` of recordings that are longer, as one channel at 16 kHz. Raises AudioError for silence.
    """
    with open_audio(noisy, ends="any") as source:
        first = max(0.0, (source.seconds or 0.0) - SECONDS) / 2
        before = stretch(source, first)
    with open_audio(enhanced, ends="any") as source:
        after = stretch(source, first)
    sides = zip(SIDES, map(metrics.dnsmos, (before, after)), strict=True)
    found = {f"{side}_{name}": value for side, scores in sides for name, value in scores.items()}
    common = min(len(before), len(after))  # some formats round lengths
    removed = float(np.mean(np.square(before[:common] - after[:common], dtype=np.float64)))
    return found | {REMOVED: 10 * np.log10(max(removed, FLOOR))}


def stretch(source: Source, first: float) -> Samples:
    """Samples (n,) at 16 kHz, from `first` seconds on."""
    rate = source.format.sample_rate
    start = round(first * rate)
    return mono(_between(source.blocks(), start, start + SECONDS * rate), rate)[: SECONDS * SAMPLE_RATE]


def _between(blocks: Iterator[Samples], start: int, end: int) -> Iterator[Samples]:
    position = 0
    for block in blocks:
        inside = block[:, max(0, start - position) : max(0, end - position)]
        position += block.shape[1]
        if inside.size:
            yield inside
        if position >= end:
            return
