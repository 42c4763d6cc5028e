"""A stream around a network that changes nothing: what is left is its resampling, against numpy, soxr and sines."""

from functools import cache

import numpy as np
import pytest
import soxr
from networks import random_network
from reference import denoise
from streams import noise, verify_stream

from gtcrn import Denoiser, checkpoint, kernel
from gtcrn.types import Samples

RATES = [8_000, 11_025, 22_050, 44_100, 48_000, 192_000]
AWKWARD = [8_001, 15_991, 44_101, 191_999]  # too many phases to tabulate: interpolated


@cache
def open_mask() -> Denoiser:
    """A network whose mask is one, whatever it hears."""
    weights = checkpoint.from_model(random_network())
    weights.weights["decoder.first.norm.weight"][:] = 0
    weights.weights["decoder.first.norm.bias"][:] = (20, 0)  # tanh(20) is 1
    return Denoiser(weights)


def sine(frequency: float, rate: int, count: int) -> Samples:
    return np.asarray(np.sin(2 * np.pi * frequency * np.arange(count) / rate), np.float32)


@pytest.mark.parametrize("rate", RATES + AWKWARD)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.88])
def test_a_sine_in_the_pass_band_keeps_its_place_and_height(rate: int, share: float) -> None:
    samples = sine(share * min(rate, 16_000) / 2, rate, rate // 4)
    inner = slice(rate // 50, -rate // 50)  # after the onset
    np.testing.assert_allclose(open_mask()(samples, rate)[inner], samples[inner], rtol=0, atol=2e-4)


@pytest.mark.parametrize("rate", [16_000, *RATES, *AWKWARD])
@pytest.mark.parametrize("limit", [None, 12])
def test_resamplers_keep_the_contract(rate: int, limit: float | None) -> None:
    verify_stream(open_mask(), noise(rate // 20, channels=2), [1, 255, 700], rate, attenuation_limit=limit)


@pytest.mark.parametrize("rate", [r for r in RATES + AWKWARD if r > 32_000])
def test_what_the_network_cannot_hear_is_gone(rate: int) -> None:
    output = open_mask()(sine(8_080, rate, rate // 4), rate)
    assert np.abs(output[rate // 50 : -rate // 50]).max() < 1e-4  # -80 dB


@pytest.mark.parametrize("rate", RATES)
def test_agrees_with_soxr_on_a_band_that_both_pass(rate: int) -> None:
    samples = soxr.resample(noise(1000), 4_000, rate, "VHQ")  # up to 2 kHz
    wanted = soxr.resample(soxr.resample(samples, rate, 16_000, "VHQ"), 16_000, rate, "VHQ")
    inner = slice(rate // 50, min(len(samples), len(wanted)) - rate // 50)
    np.testing.assert_allclose(open_mask()(samples, rate)[inner], wanted[inner], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("rate", "close"), [(r, 2e-7) for r in (*RATES, 16_000)] + [(r, 2e-6) for r in AWKWARD])
def test_equals_numpy(rate: int, close: float) -> None:
    samples = noise(rate // 40)
    wanted = denoise(open_mask(), samples, rate, dry_share=0.25)
    found = open_mask()(samples, rate, attenuation_limit=-20 * np.log10(0.25))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=close)


def test_filters_are_for_rates_in_range() -> None:
    for rate in (0, -16_000, 7_999, 192_001):
        with pytest.raises(ValueError, match="out of range"):
            kernel.Filters(rate)
