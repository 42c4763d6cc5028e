"""PCM frames in, PCM frames of the same size out: what frameworks of voice agents expect of a filter."""

from gtcrn.audio.pcm import PcmFormat
from gtcrn.denoiser import Denoiser
from gtcrn.errors import AudioError


class FrameFilter:
    """A stream whose every call returns as many samples as it was given, a constant delay late.

    A stream gives out hops of 16 ms; a framework that is promised 10 or 20 ms frames must not get 0, 16 or 32. The
    delay is `latency` - 1 samples (33 ms at 16 kHz less a sample), silence before the first.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        sample_rate: int,
        channels: int = 1,
        attenuation_limit: float | None = None,
        bypass: bool = False,
        keep_highs: bool = False,
    ) -> None:
        """`sample_rate` 8,000 to 192,000 Hz, `channels` 1 to 64, `attenuation_limit` in dB (None: no limit);
        `bypass` and `keep_highs` as in `Denoiser.stream`.

        Raises AudioError or ConfigError for values out of range.
        """
        self.format = PcmFormat(sample_rate, channels, "s16le")
        self.stream = denoiser.stream(sample_rate, channels, attenuation_limit, bypass, keep_highs)
        self.delay = self.stream.latency - 1  # samples
        self._ready = bytes(self.delay * self.format.frame_bytes)

    def __call__(self, pcm: bytes) -> bytes:
        """Interleaved 16-bit PCM to as many bytes. Raises AudioError for less than whole samples of all channels."""
        if len(pcm) % self.format.frame_bytes:
            raise AudioError(f"PCM must be whole samples of {self.format.frame_bytes} bytes, not {len(pcm)} bytes.")
        clean, _ = self.format.encode(self.stream.push(self.format.decode(pcm)))
        ready = self._ready + clean
        self._ready = ready[len(pcm) :]
        return ready[: len(pcm)]
