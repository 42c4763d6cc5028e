"""Real-time speech denoiser.

import gtcrn

denoiser = gtcrn.load()
clean = denoiser(noisy, sample_rate=48_000)
"""

from gtcrn.config import GTCRNConfig, SpectralConfig
from gtcrn.denoiser import Denoiser, load
from gtcrn.errors import AudioError, CheckpointError, ConfigError, GtcrnError
from gtcrn.stream import Stream

__all__ = [
    "AudioError",
    "CheckpointError",
    "ConfigError",
    "Denoiser",
    "GTCRNConfig",
    "GtcrnError",
    "SpectralConfig",
    "Stream",
    "load",
]
