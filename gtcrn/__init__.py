"""Real-time speech denoiser.

import gtcrn

denoiser = gtcrn.load()
clean = denoiser(noisy, sample_rate=48_000)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gtcrn.config import GTCRNConfig, SpectralConfig
    from gtcrn.denoiser import Denoiser, load
    from gtcrn.errors import AudioError, CheckpointError, ConfigError, GtcrnError
    from gtcrn.recording import Denoised, denoise_file
    from gtcrn.stream import Stream
    from gtcrn.types import Levels

    __version__: str

__all__ = [
    "AudioError",
    "CheckpointError",
    "ConfigError",
    "Denoised",
    "Denoiser",
    "GTCRNConfig",
    "GtcrnError",
    "Levels",
    "SpectralConfig",
    "Stream",
    "denoise_file",
    "load",
]

_HOMES = {
    "config": ("GTCRNConfig", "SpectralConfig"),
    "denoiser": ("Denoiser", "load"),
    "errors": ("AudioError", "CheckpointError", "ConfigError", "GtcrnError"),
    "recording": ("Denoised", "denoise_file"),
    "stream": ("Stream",),
    "types": ("Levels",),
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used: a command starts before numpy does."""
    if name == "__version__":
        from importlib.metadata import version

        return version("gtcrn")
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"gtcrn.{module}"), name)
    raise AttributeError(f"module 'gtcrn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
