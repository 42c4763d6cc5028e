"""What a stream tells of the last frame: against levels that are known, and against labels of mixtures."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.lib.stride_tricks import sliding_window_view
from streams import noise, random_denoiser

import gtcrn
from gtcrn import Levels
from gtcrn.types import Samples

HOP = 256
SAMPLES = Path(__file__).parent.parent / "samples"


@pytest.fixture(scope="module")
def shipped() -> gtcrn.Denoiser:
    return gtcrn.load()


def told(stream: gtcrn.Stream, samples: Samples, rate: int = 16_000) -> list[Levels]:
    levels, hop = [], HOP * rate // 16_000
    for start in range(0, len(samples), hop):
        stream.push(samples[start : start + hop])
        levels.append(stream.levels)
    return levels


def decibels(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(samples))))


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
@pytest.mark.parametrize("level", [0.1, 0.01])
def test_noise_has_its_level_and_is_no_speech(shipped: gtcrn.Denoiser, rate: int, level: float) -> None:
    samples = noise(2 * rate) * np.float32(level / 0.1)
    last = told(shipped.stream(rate), samples, rate)[-50:]
    heard = decibels(shipped.stream(rate, bypass=True).push(samples)) + 10 * np.log10(min(1, 16_000 / rate))
    assert np.mean([levels.noise for levels in last]) == pytest.approx(heard, abs=0.7)  # below 8 kHz
    assert np.mean([levels.reduction for levels in last]) > 15
    assert np.mean([levels.speech for levels in last]) < 0.3
    assert max(levels.speech for levels in last) < 0.7


def test_the_reduction_is_that_of_the_output(shipped: gtcrn.Denoiser) -> None:
    """By the mean of the powers: where hardly anything is left, a frame that keeps more outweighs many."""
    samples = noise(32_000)
    reductions = np.array([levels.reduction for levels in told(shipped.stream(), samples)][-62:])
    reduction = -10 * np.log10(np.mean(10 ** (-reductions / 10)))
    assert decibels(samples[-16_000:]) - decibels(shipped(samples)[-16_000:]) == pytest.approx(reduction, abs=1.5)


def test_silence_and_before_the_first_frame(shipped: gtcrn.Denoiser) -> None:
    stream = shipped.stream()
    before = stream.levels
    stream.push(np.zeros(4_000, np.float32))
    assert stream.levels == before
    assert before.noise == pytest.approx(-90)
    assert before.reduction == 0
    assert before.speech < 0.1


def test_speech_is_told_from_noise(shipped: gtcrn.Denoiser) -> None:
    """By the area under the ROC curve: how often a frame of speech has the higher probability of two."""
    noisy, clean = (soundfile.read(SAMPLES / name, dtype="float32")[0] for name in ("noisy.wav", "clean.wav"))
    noisy, clean = np.concatenate((noisy - clean, noisy)), np.concatenate((np.zeros_like(clean), clean))
    frames = sliding_window_view(np.pad(clean, (HOP, 0)), 2 * HOP)[::HOP]
    powers = np.mean(np.square(frames), axis=1)
    spoken = powers > np.percentile(powers, 95) / 1000  # 30 dB below the loudest
    speech = np.array([levels.speech for levels in told(shipped.stream(), noisy)[: len(spoken)]])
    assert (speech[spoken][:, None] > speech[~spoken]).mean() > 0.95


def test_channels_count_together() -> None:
    """The loudest speaks for all; powers are means."""
    denoiser, sound = random_denoiser(), noise(8_000)
    quiet, loud = denoiser.stream(), denoiser.stream()
    quiet.push(sound * 0.1), loud.push(sound)
    both = denoiser.stream(16_000, 2)
    both.push(np.stack((sound * 0.1, sound)))
    powers = [10 ** (stream.levels.noise / 10) for stream in (quiet, loud)]
    assert both.levels.speech == max(quiet.levels.speech, loud.levels.speech)
    assert 10 ** (both.levels.noise / 10) == pytest.approx(np.mean(powers))


def test_options_change_nothing_and_snapshots_keep_it() -> None:
    denoiser, sound = random_denoiser(), noise(10_000)
    stream, bypassed = denoiser.stream(), denoiser.stream(bypass=True, attenuation_limit=3)
    stream.push(sound), bypassed.push(sound)
    assert stream.levels == bypassed.levels == denoiser.resume(stream.snapshot()).levels
    stream.reset()
    assert stream.levels == denoiser.stream().levels


def test_damage_cannot_be_told_as_a_level(shipped: gtcrn.Denoiser) -> None:
    stream = shipped.stream()
    stream.push(np.full(8_000, np.inf, np.float32))
    stream.push(np.full(8_000, 9e5, np.float32) * np.sign(noise(8_000)))
    assert np.isfinite([stream.levels.speech, stream.levels.noise, stream.levels.reduction]).all()
