"""The stream of the kernel once more, in numpy, a whole recording at once: each output from the taps at its place."""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from spectral import ShortTimeTransform

from gtcrn import Denoiser, kernel
from gtcrn.config import SpectralConfig
from gtcrn.types import Samples

HALF_WIDTH = 52  # samples of the lower rate on either side
CUTOFF = 0.95  # of the lower Nyquist frequency
KAISER_BETA = 7.86


def resample(samples: Samples, source: int, target: int) -> Samples:
    """All outputs (m,) that can be computed from samples (n,), by a Kaiser-windowed sinc; zeros lie before them."""
    if source == target:
        return samples
    reach = math.ceil(HALF_WIDTH * max(1.0, source / target))
    divisor = math.gcd(source, target)
    up, down = target // divisor, source // divisor
    places = np.arange(max(0, -((reach - len(samples)) * up // down))) * down
    windows = sliding_window_view(np.pad(samples, (reach, reach)), 2 * reach)[places // up + 1]
    distance = np.arange(2 * reach) - (reach - 1) - (places % up / up)[:, None]
    taps = _taps(distance * min(1.0, up / down))
    return np.asarray(np.einsum("kt,kt->k", windows, taps), np.float32)


def _taps(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of taps at distances in samples of the lower rate, which pass a constant unchanged."""
    inside = np.clip(1 - (x / HALF_WIDTH) ** 2, 0, None)
    taps = np.sinc(CUTOFF * x) * np.i0(KAISER_BETA * np.sqrt(inside)) * (inside > 0)
    return np.asarray(taps / taps.sum(axis=1, keepdims=True))


def denoise(denoiser: Denoiser, samples: Samples, rate: int, dry_share: float = 0.0) -> Samples:
    """What a stream makes of samples (n,) at `rate` Hz, with as much of the input mixed in."""
    config = SpectralConfig()
    transform, silence = ShortTimeTransform(config), np.zeros(rate // 10, np.float32)
    low = resample(np.concatenate((samples, silence)), rate, config.sample_rate)
    low = np.concatenate((np.zeros(config.hop, np.float32), low))
    spectrum, _ = transform.analyse(low[None], np.zeros((1, 0), np.float32))
    kernel.process(denoiser.params, kernel.new_state(denoiser.params), spectrum, spectrum)
    wet = transform.synthesise(spectrum, transform.initial_state(1))[0][0, config.hop :]
    wet = resample(wet, config.sample_rate, rate)[: len(samples)]
    return wet + (samples - wet) * np.float32(dry_share)
