"""What the denoiser takes: rates and channels, judged by one function for files, pipes, streams and requests alike."""

from numbers import Real

from gtcrn.errors import AudioError

LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000  # Hz
MAX_CHANNELS = 64


def judge(sample_rate: float, channels: int) -> None:
    """Raises AudioError for a rate or a number of channels that is out of range; comes before anything is opened."""
    if not _is_whole(sample_rate, LOWEST_RATE, HIGHEST_RATE):
        raise AudioError(f"sample rate must be {LOWEST_RATE} to {HIGHEST_RATE} Hz, not {sample_rate!r}.")
    if not _is_whole(channels, 1, MAX_CHANNELS):
        raise AudioError(f"audio must have 1 to {MAX_CHANNELS} channels, not {channels!r}.")


def _is_whole(value: object, lowest: int, highest: int) -> bool:
    return isinstance(value, Real) and lowest <= float(value) <= highest and float(value).is_integer()
