"""What the tests of voice agents share: noise as they carry it, and what `Denoiser` makes of it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtcrn import Denoiser

Pcm = NDArray[np.int16]  # (n, channels)

RATES = (8_000, 16_000, 24_000, 48_000)
MILLISECONDS = (10, 20, 30, 50)  # of a frame


def noise(seconds: float, rate: int, channels: int = 1) -> Pcm:
    random = np.random.default_rng(rate + channels)
    loud = 3000 * np.abs(np.sin(np.arange(int(seconds * rate)) * (2 * np.pi * 3 / rate)))
    return np.asarray(random.standard_normal((len(loud), channels)) * loud[:, None], np.int16)


def expected(denoiser: Denoiser, pcm: Pcm, rate: int, delay: int, **options: Any) -> NDArray[np.float64]:
    """What the file denoiser makes of it, `delay` samples late, in steps of 16-bit PCM."""
    clean = denoiser((pcm.T / np.float32(32768)).astype(np.float32), rate, **options).T * 32768.0
    return np.concatenate((np.zeros((delay, pcm.shape[1])), clean))[: len(pcm)]


def agrees(got: bytes, pcm: Pcm, denoiser: Denoiser, rate: int, delay: int, **options: Any) -> None:
    clean = np.frombuffer(got, np.int16).reshape(-1, pcm.shape[1])
    assert len(clean) <= len(pcm)
    assert np.abs(clean - expected(denoiser, pcm, rate, delay, **options)[: len(clean)]).max() <= 1
