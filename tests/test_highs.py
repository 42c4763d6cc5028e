"""keep_highs: what lies above 8 kHz comes through in its place, by a gain that follows the band below."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from streams import Changes, noise, random_denoiser, verify_stream
from test_resample import AWKWARD, open_mask, sine

import gtcrn
from gtcrn.types import Samples

ABOVE = [16_001, 22_050, 44_100, 48_000, 96_000, 192_000, 44_101, 191_999]  # Hz
SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.mark.parametrize("rate", [8_000, 16_000, *ABOVE])
def test_highs_keep_the_contract(rate: int) -> None:
    samples = noise(rate // 20, channels=2)
    changes: Changes = {rate // 50: {"keep_highs": False}, rate // 30: {"keep_highs": True, "attenuation_limit": 6}}
    verify_stream(random_denoiser(), samples, [1, 255, 700], rate, keep_highs=True)
    verify_stream(random_denoiser(), samples, [400, 7], rate, changes, keep_highs=True)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000])
def test_up_to_16_khz_there_are_none(rate: int) -> None:
    samples = noise(rate // 4)
    np.testing.assert_array_equal(random_denoiser()(samples, rate, keep_highs=True), random_denoiser()(samples, rate))


@pytest.mark.parametrize("rate", [22_050, *(r for r in ABOVE + AWKWARD if r > 32_000)])
def test_where_nothing_is_taken_away_both_bands_add_up_to_the_input(rate: int) -> None:
    samples = noise(rate // 4)
    samples[rate // 8] = 1  # an impulse, all of it in one place
    inner = slice(rate // 25, -rate // 25)
    np.testing.assert_allclose(open_mask()(samples, rate, keep_highs=True)[inner], samples[inner], rtol=0, atol=2e-6)


def test_limit_and_bypass_hold_for_highs_too() -> None:
    samples, denoiser = noise(12_000), random_denoiser()
    wet, share = denoiser(samples, 48_000, keep_highs=True), 10 ** (-12 / 20)
    found = denoiser(samples, 48_000, attenuation_limit=12, keep_highs=True)
    np.testing.assert_allclose(found, wet + (samples - wet) * share, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(denoiser(samples, 48_000, bypass=True, keep_highs=True), samples)


def test_the_switch_fades_over_a_hop_without_a_click() -> None:
    rate, hop, place = 48_000, 768, 7_780
    below = soxr.resample(noise(5_000), 14_000, rate)  # so that the network has something to let pass
    samples = below + 0.3 * sine(12_001, rate, len(below))
    off, on = (open_mask()(samples, rate, keep_highs=keep) for keep in (False, True))
    stream = open_mask().stream(rate)
    before = stream.push(samples[:place])
    stream.keep_highs = True
    found = np.concatenate((before, stream.push(samples[place:]), stream.flush()))
    clear = np.flatnonzero(np.abs(on - off) > 0.1)[50:-50]
    share = (found[clear] - off[clear]) / (on[clear] - off[clear])
    fading = np.flatnonzero((share > 1e-5) & (share < 1 - 1e-5))
    assert np.abs(share[: fading[0]]).max() < 1e-5
    frames = (
        place - 156
    ) // hop  # that have been heard: the resampler waits for 156 samples; the next one's middle follows
    assert frames * hop - hop <= clear[fading[0]] < clear[fading[-1]] <= frames * hop
    assert np.ptp(clear[fading]) > hop // 2
    steps = np.diff(share) / np.diff(clear) * hop
    assert steps.min() > -0.02
    assert steps.max() < 1.6  # of the smooth curve 1.5, of a straight line 1


def band(samples: Samples, low: float, high: float) -> NDArray[np.float64]:
    """dB of power in a band, in frames of 20 ms at 48 kHz."""
    frames = samples[: len(samples) // 960 * 960].reshape(-1, 960) * np.hanning(960)
    hertz = np.fft.rfftfreq(960, 1 / 48_000)
    power = np.abs(np.fft.rfft(frames)[:, (hertz >= low) & (hertz < high)]) ** 2
    return np.asarray(10 * np.log10(power.sum(axis=1) + 1e-9))


def shifted(samples: NDArray[np.floating[Any]], low: float, high: float, by: float) -> Samples:
    """What lies in a band, higher by so many Hz at 48 kHz."""
    spectrum, hertz = np.fft.rfft(samples), np.fft.rfftfreq(len(samples), 1 / 48_000)
    inside = np.fft.irfft(np.where((hertz >= low) & (hertz < high), spectrum, 0), len(samples))
    up = np.fft.rfft(2 * inside * np.cos(2 * np.pi * by / 48_000 * np.arange(len(samples))))
    return np.asarray(np.fft.irfft(np.where(hertz >= low + by, up, 0), len(samples)), np.float32)


@pytest.mark.parametrize(("low", "high"), [(0, 24_000), (10_000, 13_000)])
def test_noise_goes_down_in_pauses_and_sibilants_stay(low: float, high: float) -> None:
    """A voice whose sibilants reach to 13 kHz, in hiss of all frequencies or of those around 12 kHz only."""
    speech, rate = soundfile.read(SAMPLES / "clean.wav", dtype="float32")
    speech = soxr.resample(speech, rate, 48_000)
    voice = speech + 2 * shifted(speech, 4_000, 8_000, by=5_000)
    noisy = voice + shifted(noise(len(voice)) / 100, low, high, by=0)
    lows, highs, before = band(voice, 500, 3_500), band(voice, 9_000, 13_000), band(noisy, 9_000, 13_000)
    pauses, sibilants = highs < highs.max() - 35, (highs > lows) & (highs > highs.max() - 15)
    after = band(gtcrn.load()(noisy, 48_000, keep_highs=True), 9_000, 13_000)
    assert np.mean((after - before)[pauses]) < -15
    assert np.median((after - highs)[sibilants]) > -5
    assert np.median((band(gtcrn.load()(noisy, 48_000), 9_000, 13_000) - highs)[sibilants]) < -60
