"""The resampler against soxr and against sines whose samples are known, in blocks of any length."""

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import noise, pieces

from gtcrn.resample import Resampler

RATES = [(48_000, 16_000), (16_000, 48_000), (44_100, 16_000), (16_000, 44_100), (8_000, 16_000), (192_000, 16_000)]
AWKWARD = [(44_101, 16_000), (16_000, 15_991)]  # no small ratio: interpolated between phases


def resample(source, target, samples, lengths):
    resampler = Resampler(source, target)
    state, outputs = resampler.initial_state(len(samples)), []
    for piece in pieces(samples, lengths):
        output, state = resampler(piece, state)
        outputs.append(output)
    return np.concatenate(outputs, axis=1)


def sine(frequency, rate, count):
    return np.sin(2 * np.pi * frequency * np.arange(count) / rate).astype(np.float32)[None]


@pytest.mark.parametrize(("source", "target"), RATES + AWKWARD)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.88])
def test_a_sine_in_the_pass_band_keeps_its_place_and_height(source, target, share):
    frequency = share * min(source, target) / 2
    output = resample(source, target, sine(frequency, source, source // 4), [source])
    wanted = sine(frequency, target, output.shape[1])
    inner = slice(target // 50, None)  # after the onset
    np.testing.assert_allclose(output[:, inner], wanted[:, inner], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("source", "target"), [(a, b) for a, b in RATES + AWKWARD if a > 2 * b])
def test_what_the_lower_rate_cannot_hold_is_gone(source, target):
    output = resample(source, target, sine(1.01 * target / 2, source, source // 4), [source])
    assert np.abs(output[:, target // 50 :]).max() < 1e-4  # -80 dB


@pytest.mark.parametrize(("source", "target"), RATES)
def test_agrees_with_soxr_on_a_band_that_both_pass(source, target):
    low = soxr.resample(noise(4000)[:, None], 4_000, source, "VHQ").T  # up to 2 kHz
    found = resample(source, target, low, [1000])
    wanted = soxr.resample(low.T, source, target, "VHQ").T
    both = slice(target // 50, min(found.shape[1], wanted.shape[1]) - target // 50)
    np.testing.assert_allclose(found[:, both], wanted[:, both], rtol=0, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(RATES + AWKWARD), st.lists(st.integers(0, 700), min_size=1, max_size=5))
def test_any_chunks_give_the_same_samples(rates, lengths):
    samples = noise(4_000, channels=2)
    np.testing.assert_array_equal(resample(*rates, samples, lengths), resample(*rates, samples, [4_000]))


@settings(max_examples=60, deadline=None)
@given(st.integers(8_000, 192_000), st.integers(0, 3_000), st.booleans())
def test_so_many_outputs_are_ready_as_were_foretold(rate, count, up):
    resampler = Resampler(*((16_000, rate) if up else (rate, 16_000)))
    output, state = resampler(noise(count, channels=1), resampler.initial_state(1))
    assert output.shape[1] == state.produced == resampler.ready(count)
    assert resampler.ready(resampler.needed(state.produced + 1)) > state.produced
    assert resampler.ready(resampler.needed(state.produced + 1) - 1) <= state.produced


def test_equal_rates_pass_through():
    samples = noise(100, channels=2)
    np.testing.assert_array_equal(resample(16_000, 16_000, samples, [7]), samples)
