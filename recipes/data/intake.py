"""One audio file in, mono 16 kHz int16 out, or the reason why it is of no use for training."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from gtcrn.audio.files import Reader
from gtcrn.audio.limits import judge
from gtcrn.config import SAMPLE_RATE
from gtcrn.errors import GtcrnError
from gtcrn.types import Samples
from gtcrn_recipes.data.shards import Int16
from gtcrn_recipes.data.silence import fill_silence

BLOCK_SECONDS = 60  # read at a time, so that a recording of a day fits in memory


@dataclass(frozen=True)
class Rules:
    """What a clip must be to be taken."""

    min_seconds: float = 0.5
    silence_db: float = -60.0  # dBFS; a peak below it is silence
    clipped_share: float = 0.001  # of the samples at the peak of a file that reaches full scale
    fill_silence: bool = False  # digital silence gets the floor of the recording around it
    response: bool = False  # a room response: first channel, trimmed to its onset, peak 0.9


@dataclass(frozen=True)
class Taken:
    """The outcome for one file: samples, or an empty array and the reason."""

    samples: Int16
    reason: str = ""


def take(path: Path, rules: Rules, minus: Path | None = None) -> Taken:
    """Read and judge one file, less the file `minus`. Raises GtcrnError where it is gone."""
    need(path)
    try:
        audio = read_mono(path, first_channel=rules.response)
        audio = audio if minus is None else difference(audio, read_mono(minus))
    except (GtcrnError, OSError) as error:
        return refuse(f"unreadable: {error}")
    if reason := fault(audio, rules):
        return refuse(reason)
    audio = fill_silence(audio, np.random.default_rng(len(audio))) if rules.fill_silence else audio
    return Taken(to_int16(shape_response(audio) if rules.response else audio))


def take_pair(noisy: Path, clean: Path, min_seconds: float = 0.0) -> Taken:
    """Noisy and clean samples of a ready pair, one after the other; a common gain where either exceeds full scale.

    Raises GtcrnError where one is gone.
    """
    need(noisy)
    need(clean)
    try:
        pair = [read_mono(noisy), read_mono(clean)]
    except (GtcrnError, OSError) as error:
        return refuse(f"unreadable: {error}")
    if len(pair[0]) != len(pair[1]):
        return refuse(f"noisy has {len(pair[0])} samples, clean {len(pair[1])}")
    if reason := fault(pair[1], Rules(min_seconds=min_seconds, clipped_share=1.0)):
        return refuse(f"clean is {reason}")
    if reason := not_finite(pair[0]):
        return refuse(f"noisy is {reason}")
    return Taken(to_int16(np.concatenate(pair)))


def need(path: Path) -> None:
    """What was found a while ago, or on another machine: it is not to be noted as useless for good."""
    if not path.exists():
        raise GtcrnError(f"there is no file {path} any more, or not on every machine.")


def difference(audio: Samples, other: Samples) -> Samples:
    common = min(len(audio), len(other))
    return audio[:common] - other[:common]


def refuse(reason: str) -> Taken:
    return Taken(np.zeros(0, np.int16), " ".join(reason.split()))


def read_mono(path: Path, first_channel: bool = False) -> Samples:
    """Float samples (n,) at 16 kHz: the mean of the channels, or the first one.

    Raises AudioError, GtcrnError where the file may not be read.
    """
    with Reader(path) as file:
        rate = file.format.sample_rate
        judge(rate, file.format.channels)  # a damaged header tells of any, and blocks are as large
        return mono(file.blocks(BLOCK_SECONDS * rate), rate, first_channel)


def mono(blocks: Iterable[Samples], rate: int, first_channel: bool = False) -> Samples:
    """Blocks (channels, n) at `rate` Hz as samples (n,) at 16 kHz."""
    resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
    same = rate == SAMPLE_RATE
    parts = []
    for block in blocks:
        samples = np.ascontiguousarray(block[0] if first_channel else block.mean(axis=0))
        parts.append(samples if same else resampler.resample_chunk(samples))
    if not same:
        parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(parts)


def fault(audio: Samples, rules: Rules) -> str:
    """Why these samples cannot be used: too short, not finite, silent or clipped; empty if they can."""
    if len(audio) == 0 or len(audio) < rules.min_seconds * SAMPLE_RATE:
        return f"too short: {len(audio) / SAMPLE_RATE:.2f} s"
    if reason := not_finite(audio):
        return reason
    peak = float(np.abs(audio).max())
    if peak < 10 ** (rules.silence_db / 20):
        return f"silent: peak below {rules.silence_db:g} dBFS"
    share = float(np.mean(np.abs(audio) >= 0.999 * peak))
    if peak >= 0.99 and share > rules.clipped_share:
        return f"clipped: {100 * share:.1f} % of the samples at full scale"
    return ""


def not_finite(audio: Samples) -> str:
    return "" if np.isfinite(audio).all() else "not finite: NaN or infinity among the samples"


def shape_response(response: Samples) -> Samples:
    """A room response that starts 1 ms before its onset (first sample above a tenth of the peak), peak 0.9."""
    magnitude = np.abs(response)
    onset = int(np.argmax(magnitude >= 0.1 * magnitude.max()))
    return response[max(0, onset - SAMPLE_RATE // 1000) :] * np.float32(0.9 / magnitude.max())


def to_int16(audio: Samples) -> Int16:
    """Rounded to int16; brought down to full scale as a whole where it exceeds it, never clipped."""
    peak = float(np.abs(audio).max()) * 32768
    gain = 32768.0 * min(1.0, 32767 / max(peak, 1.0))
    return np.round(audio * np.float32(gain)).astype(np.int16)
