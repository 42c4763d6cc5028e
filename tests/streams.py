"""The contract of a stream, and denoisers for tests: one helper for every rate, channel count and option."""

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from networks import random_network
from numpy.typing import NDArray

from gtcrn import AudioError, Denoiser, Stream, checkpoint
from gtcrn.config import GTCRNConfig
from gtcrn.types import Samples

Number = TypeVar("Number", bound=np.generic)
Changes = Mapping[int, Mapping[str, Any]]  # options that are set after so many samples


@cache
def random_denoiser(seed: int = 0, channels: int = 16) -> Denoiser:
    """A denoiser with random weights; it does not denoise, but its every output depends on its whole past."""
    return Denoiser(checkpoint.from_model(random_network(seed, GTCRNConfig(channels=channels))))


def noise(length: int, channels: int | None = None, seed: int = 0) -> Samples:
    """White noise of -20 dBFS, (length,) or (channels, length)."""
    shape = (length,) if channels is None else (channels, length)
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def pieces(samples: NDArray[Number], lengths: list[int]) -> list[NDArray[Number]]:
    """The samples cut into chunks of these lengths, again and again (1 or more at least somewhere)."""
    return np.split(samples, _cuts(samples.shape[-1], lengths), axis=-1)


def _cuts(samples: int, lengths: list[int]) -> list[int]:
    cuts = np.cumsum(np.resize([*lengths, 1], samples + 1))
    return [int(cut) for cut in cuts if cut < samples]


def verify_stream(
    denoiser: Denoiser,
    samples: Samples,
    lengths: list[int],
    rate: int = 16_000,
    changes: Changes | None = None,
    **options: Any,
) -> None:
    """Check a stream of `rate` on samples (n,) or (channels, n) that arrive in chunks of `lengths`.

    Chunks, snapshots, what was before a reset and what comes later change no bit, whatever options change on the way.
    """
    channels = samples.shape[0] if samples.ndim == 2 else 1
    changes = {place: made for place, made in (changes or {}).items() if place < samples.shape[-1]}
    early, stream = _play(denoiser.stream(rate, channels, **options), samples, sorted(changes), changes)
    rest = stream.flush()
    whole = np.concatenate((early, rest), axis=-1)
    assert whole.shape == samples.shape
    assert whole.dtype == np.float32
    assert np.isfinite(whole).all()
    if not changes:
        np.testing.assert_array_equal(denoiser(samples, rate, **options), whole)

    cuts = sorted([*_cuts(samples.shape[-1], lengths), *changes])
    found, stream = _play(denoiser.stream(rate, channels, **options), samples, cuts, changes, denoiser)
    np.testing.assert_array_equal(np.concatenate((found, stream.flush()), axis=-1), whole)
    with pytest.raises(AudioError, match="flushed"):
        stream.push(samples[..., :1])

    for name, value in ({"attenuation_limit": None, "bypass": False, "keep_highs": False} | options).items():
        setattr(stream, name, value)
    stream.reset()
    found, stream = _play(stream, samples, cuts, changes)
    stream.push(noise(2000, channels, seed=9) if samples.ndim == 2 else noise(2000, seed=9))
    np.testing.assert_array_equal(found, early)


def _play(
    stream: Stream, samples: Samples, cuts: list[int], changes: Changes, denoiser: Denoiser | None = None
) -> tuple[Samples, Stream]:
    """What comes out of chunks that end at `cuts`, and the stream then; with a denoiser, one that was saved midway."""
    outputs, late, ends = [], 0, [*cuts, samples.shape[-1]]
    for index, (start, end) in enumerate(pairwise([0, *ends])):
        if denoiser and index == len(ends) // 2:
            stream = denoiser.resume(stream.snapshot())
        for name, value in changes.get(start, {}).items():
            setattr(stream, name, value)
        outputs.append(stream.push(samples[..., start:end]))
        late += end - start - outputs[-1].shape[-1]
        assert 0 <= late < stream.latency
    return np.concatenate(outputs, axis=-1), stream


def write_weights(folder: Path, seed: int = 0) -> str:
    """A weights file of random_denoiser(seed)."""
    path = str(folder / f"random{seed}.safetensors")
    checkpoint.write(path, random_denoiser(seed).checkpoint)
    return path
