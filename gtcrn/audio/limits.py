"""What the denoiser takes: rates and channels, judged by one function for files, pipes, streams and requests alike, and
a stream's options."""

from numbers import Real

import numpy as np

from gtcrn.errors import AudioError, ConfigError

LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000  # Hz
MAX_CHANNELS = 64


def judge(sample_rate: float, channels: int) -> None:
    """Raises AudioError for a rate or a number of channels that is out of range; comes before anything is opened."""
    if not _is_whole(sample_rate, LOWEST_RATE, HIGHEST_RATE):
        raise AudioError(f"sample rate must be {LOWEST_RATE} to {HIGHEST_RATE} Hz, not {sample_rate!r:.40}.")
    if not _is_whole(channels, 1, MAX_CHANNELS):
        raise AudioError(f"audio must have 1 to {MAX_CHANNELS} channels, not {channels!r:.40}.")


def judge_limit(limit: float | None) -> None:
    """Raises AudioError for what is neither a number of dB nor None, ConfigError for one below 0."""
    if limit is not None and not isinstance(limit, Real):
        raise AudioError(f"attenuation limit must be a number of dB or None, not {limit!r}.")
    if limit is not None and not limit >= 0:
        raise ConfigError(f"attenuation limit must be 0 dB or more, not {limit}.")


def judge_switch(name: str, value: object) -> None:
    """Raises AudioError for what is no truth value."""
    if not isinstance(value, bool | np.bool_):
        raise AudioError(f"{name} must be True or False, not {value!r}.")


def _is_whole(value: float, lowest: int, highest: int) -> bool:
    """Compared before it becomes a float, which whole numbers may be too large for."""
    return isinstance(value, Real) and bool(lowest <= value <= highest) and float(value).is_integer()
