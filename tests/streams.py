"""The contract of a stream, and denoisers for tests: one helper for every rate, channel count and option."""

from functools import cache

import numpy as np
import pytest
from networks import random_network

from gtcrn import AudioError, Denoiser, checkpoint
from gtcrn.types import Samples


@cache
def random_denoiser(seed: int = 0) -> Denoiser:
    """A denoiser with random weights; it does not denoise, but its every output depends on its whole past."""
    return Denoiser(checkpoint.from_model(random_network(seed)))


def noise(length: int, channels: int | None = None, seed: int = 0) -> Samples:
    """White noise of -20 dBFS, (length,) or (channels, length)."""
    shape = (length,) if channels is None else (channels, length)
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def pieces(samples: Samples, lengths: list[int]) -> list[Samples]:
    """The samples cut into chunks of these lengths, again and again (1 or more at least somewhere)."""
    cuts = np.cumsum(np.resize([*lengths, 1], samples.shape[-1] + 1))
    return np.split(samples, cuts[cuts < samples.shape[-1]], axis=-1)


def verify_stream(denoiser: Denoiser, samples: Samples, lengths: list[int], rate: int = 16_000, **options) -> None:
    """Check a stream of `rate` on samples (n,) or (channels, n) that arrive in chunks of `lengths`.

    Chunks, snapshots and what comes later change no bit.
    """
    channels = samples.shape[0] if samples.ndim == 2 else 1
    whole = denoiser(samples, rate, **options)
    assert whole.shape == samples.shape
    assert whole.dtype == np.float32
    assert np.isfinite(whole).all()

    stream = denoiser.stream(rate, channels, **options)
    chunks = pieces(samples, lengths)
    outputs = []
    for index, chunk in enumerate(chunks):
        if index == len(chunks) // 2:
            stream = denoiser.resume(stream.snapshot())
        outputs.append(stream.push(chunk))
        late = sum(part.shape[-1] for part in chunks[: index + 1]) - sum(part.shape[-1] for part in outputs)
        assert 0 <= late < stream.latency
    early = np.concatenate(outputs, axis=-1)
    outputs.append(stream.flush())
    np.testing.assert_array_equal(np.concatenate(outputs, axis=-1), whole)

    future = denoiser.stream(rate, channels, **options)
    ready = future.push(samples)
    future.push(noise(2000, channels, seed=9) if samples.ndim == 2 else noise(2000, seed=9))
    np.testing.assert_array_equal(ready, early)
    with pytest.raises(AudioError, match="flushed"):
        stream.push(samples[..., :1])


def write_weights(folder, seed: int = 0) -> str:
    """A weights file of random_denoiser(seed)."""
    path = str(folder / f"random{seed}.safetensors")
    checkpoint.write(path, random_denoiser(seed).checkpoint)
    return path
