"""ERB filter bank: gathers the high bins of a spectrum into overlapping triangular bands. Fixed numbers, no parameters.

The scale is the equivalent rectangular bandwidth of the ear (Glasberg and Moore, 1990):
ERBS(f) = 21.4 log10(1 + 0.00437 f), f in Hz.
"""

import numpy as np
from numpy.typing import NDArray

from gtcrn.config import GTCRNConfig


def hz_to_erb(hz: float) -> float:
    """Position on the ERB-rate scale of a frequency in Hz."""
    return float(21.4 * np.log10(1 + 0.00437 * hz))


def erb_to_hz(erb: NDArray[np.float64]) -> NDArray[np.float64]:
    """The opposite of `hz_to_erb`."""
    return np.asarray((10 ** (erb / 21.4) - 1) / 0.00437)


def band_centres(config: GTCRNConfig) -> NDArray[np.int64]:
    """The bins at which the bands peak, equally spaced in ERB from the first gathered bin to the last. (erb_high,)"""
    hz_per_bin = config.spectral.sample_rate / config.spectral.n_fft
    low = hz_to_erb(config.erb_low * hz_per_bin)
    high = hz_to_erb(config.spectral.sample_rate / 2)
    centres = erb_to_hz(np.linspace(low, high, config.erb_high)) / hz_per_bin
    return np.round(centres).astype(np.int64)


def erb_matrix(config: GTCRNConfig) -> NDArray[np.float32]:
    """Weights of the bands over the gathered bins, (erb_high, bins - erb_low).

    Each band is a triangle that rises from the centre before it and falls to the centre after it, so that the bands
    add up to one at every bin; its transpose spreads a mask over bands back to bins.
    """
    centres = band_centres(config)
    bins = np.arange(config.erb_low, config.spectral.bins)
    peaks = np.eye(config.erb_high)
    return np.stack([np.interp(bins, centres, peak) for peak in peaks]).astype(np.float32)
