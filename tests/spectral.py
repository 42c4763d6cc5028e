"""Short-time Fourier analysis and synthesis of blocks of samples; the state is a value that goes in and comes out.

Frame t holds the samples [t hop - hop, t hop + hop): equal to `torch.stft(center=True)` but for the ends, where the
signal continues with zeros instead of its reflection. This is the reference that the kernel's own transform (which
streams use, `kernel/transform.h`) is checked against, and what gives spectra to the benchmark.
"""

import numpy as np
from numpy.typing import NDArray

from gtcrn.config import SpectralConfig
from gtcrn.types import Samples

Spectrum = NDArray[np.complex64]  # (C, T, bins)


class ShortTimeTransform:
    """Analysis and synthesis with a square-root periodic Hann window; together they reconstruct exactly."""

    def __init__(self, config: SpectralConfig) -> None:
        self.config = config
        self._window = np.sin(np.pi * np.arange(config.n_fft) / config.n_fft).astype(np.float32)

    def initial_state(self, channels: int) -> Samples:
        """What lies before the first sample, for either direction: zeros (C, hop)."""
        return np.zeros((channels, self.config.hop), np.float32)

    def analyse(self, samples: Samples, pending: Samples) -> tuple[Spectrum, Samples]:
        """Spectra of all frames that `samples` (C, n) complete, (C, T, bins), and what the next frames need.

        `pending` (C, hop to n_fft - 1) are the last samples of the calls before, or the initial state.
        """
        hop = self.config.hop
        signal = np.concatenate((pending, samples), axis=1)
        frames = max(0, signal.shape[1] // hop - 1)
        hops = signal[:, : (frames + 1) * hop].reshape(len(signal), frames + 1, hop)
        windows = np.concatenate((hops[:, :-1], hops[:, 1:]), axis=2)
        spectrum = np.fft.rfft(windows * self._window, axis=-1)
        return spectrum.astype(np.complex64, copy=False), signal[:, frames * hop :].copy()

    def synthesise(self, spectrum: Spectrum, overlap: Samples) -> tuple[Samples, Samples]:
        """Overlap-add of spectra (C, T, bins): T hop samples, the first of a stream being those before sample 0.

        `overlap` (C, hop) is the unfinished half of the last frame before, or the initial state.
        """
        channels, frames, _ = spectrum.shape
        n_fft, hop = self.config.n_fft, self.config.hop
        windows = np.fft.irfft(spectrum, n_fft, axis=-1).astype(np.float32, copy=False) * self._window
        ends = np.concatenate((overlap[:, None], windows[:, :, hop:]), axis=1)
        return (windows[:, :, :hop] + ends[:, :frames]).reshape(channels, frames * hop), ends[:, frames].copy()
