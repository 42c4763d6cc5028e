"""What the denoiser takes: rates and channels, judged by one function for files, pipes, streams and requests alike."""

from gtcrn.errors import AudioError

LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000  # Hz
MAX_CHANNELS = 64


def judge(sample_rate: float, channels: int) -> None:
    """Raises AudioError for a rate or a number of channels that is out of range; comes before anything is opened."""
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE or sample_rate != int(sample_rate):
        raise AudioError(f"sample rate must be {LOWEST_RATE} to {HIGHEST_RATE} Hz, not {sample_rate}.")
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"audio must have 1 to {MAX_CHANNELS} channels, not {channels}.")
