"""Attenuation limit, bypass and highs while a stream runs, its latency, its end, and other streams beside it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from streams import noise, pieces, random_denoiser

from gtcrn import AudioError
from gtcrn.types import Samples


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000])
def test_the_latency_is_the_longest_wait_for_an_impulse(rate: int) -> None:
    stream = random_denoiser().stream(rate, bypass=True)
    positions = range(2_000, 2_000 + 6 * rate * 256 // 16_000)
    waits, out = {}, 0
    impulses = np.ones(1, np.float32)
    for pushed in range(1, positions.stop + stream.latency + 1):
        ready = len(stream.push(impulses if pushed - 1 >= positions.start else 0 * impulses))
        for position in range(out, out + ready):
            waits[position] = pushed - position
        out += ready
    assert max(waits[position] for position in positions) == stream.latency


def test_an_impulse_comes_out_in_its_place() -> None:
    for rate in (8_000, 16_000, 48_000):
        samples = np.zeros(6_000, np.float32)
        samples[4_321] = 1
        stream = random_denoiser().stream(rate, bypass=True)
        parts = [stream.push(piece) for piece in pieces(samples, [1, 100])]
        np.testing.assert_array_equal(np.concatenate([*parts, stream.flush()]), samples)


def test_latency_at_16_khz_is_one_window() -> None:
    assert random_denoiser().stream().latency == 512


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_the_attenuation_limit_mixes_the_aligned_input_in(rate: int) -> None:
    samples, denoiser = noise(8_000), random_denoiser()
    wet, share = denoiser(samples, rate), 10 ** (-12 / 20)
    wanted = wet + (samples - wet) * share
    np.testing.assert_allclose(denoiser(samples, rate, attenuation_limit=12), wanted, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(denoiser(samples, rate, attenuation_limit=0), samples)
    np.testing.assert_array_equal(denoiser(samples, rate, attenuation_limit=np.inf), wet)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_changed_option_fades_in_over_one_hop(rate: int) -> None:
    denoiser, hop = random_denoiser(), 256 * rate // 16_000
    samples = np.full(30 * hop, 0.5, np.float32)
    stream = denoiser.stream(rate)
    before = stream.push(samples[: 15 * hop])
    stream.bypass = True
    after = np.concatenate((stream.push(samples[15 * hop :]), stream.flush()))
    wet = denoiser(samples, rate)[len(before) :]
    place = np.minimum(np.arange(1, len(after) + 1) / hop, 1)
    np.testing.assert_allclose(after, wet + (0.5 - wet) * place, rtol=0, atol=1e-5)


def test_a_fade_can_be_turned_back_without_a_jump() -> None:
    stream, samples = random_denoiser().stream(bypass=True), np.full(256, 0.5, np.float32)
    for _ in range(10):
        stream.push(samples)
    stream.attenuation_limit = 6
    stream.bypass = False
    first = stream.push(samples)
    stream.bypass = True
    outputs = np.concatenate([first, *(stream.push(samples) for _ in range(3))])
    assert outputs[-1] == 0.5
    wet_steps = np.abs(np.diff(random_denoiser()(np.full(256 * 14, 0.5, np.float32)))).max()
    assert np.abs(np.diff(outputs)).max() <= wet_steps + 2 / 256


def test_channels_are_independent() -> None:
    samples = noise(3_000, channels=3)
    together = random_denoiser()(samples, 16_000)
    for row, alone in zip(samples, together, strict=True):
        np.testing.assert_array_equal(random_denoiser()(row), alone)


def test_interleaved_streams_and_reset() -> None:
    samples, denoiser = noise(6_000, channels=2), random_denoiser()
    streams = [denoiser.stream(), denoiser.stream()]
    outputs: list[list[Samples]] = [[], []]
    for start in range(0, 6_000, 100):
        for stream, row, output in zip(streams, samples, outputs, strict=True):
            output.append(stream.push(row[start : start + 100]))
    for stream, row, output in zip(streams, samples, outputs, strict=True):
        np.testing.assert_array_equal(np.concatenate([*output, stream.flush()]), denoiser(row))
    streams[0].reset()
    np.testing.assert_array_equal(
        np.concatenate((streams[0].push(samples[1]), streams[0].flush())), denoiser(samples[1])
    )


def test_sixteen_streams_in_four_threads() -> None:
    samples, denoiser = noise(8_000, channels=16), random_denoiser()

    def run(row: Samples) -> Samples:
        stream = denoiser.stream()
        return np.concatenate([*(stream.push(piece) for piece in pieces(row, [160])), stream.flush()])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, samples))
    np.testing.assert_array_equal(found, denoiser(samples, 16_000))


def test_flush_comes_once_and_reset_opens_again() -> None:
    stream = random_denoiser().stream()
    stream.flush()
    with pytest.raises(AudioError, match="flushed"):
        stream.flush()
    stream.reset()
    assert stream.push(noise(512)).shape == (256,)
