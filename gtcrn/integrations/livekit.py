"""A frame processor for LiveKit: `noise_cancellation=GtcrnProcessor()` of an AudioStream or an agent's room input."""

from livekit import rtc

from gtcrn.denoiser import Denoiser, load
from gtcrn.integrations.frames import FrameFilter
from gtcrn.stream import Stream


class GtcrnProcessor(rtc.FrameProcessor[rtc.AudioFrame]):
    """Denoises a track's frames: any rate of 8 to 192 kHz, any number of channels up to 64, frames of any length.

    Each frame comes back with as many samples, `delay` samples late. `bypass` passes the audio on unchanged at the
    same delay, without a gap; `enabled = False` takes the processor out of the way altogether, delay included.
    """

    def __init__(
        self, denoiser: Denoiser | None = None, attenuation_limit: float | None = None, keep_highs: bool = False
    ) -> None:
        """With the shipped weights unless a `denoiser` is given, which any number of processors can share; the options
        are those of `Denoiser.stream`, and refused as there."""
        self._denoiser = denoiser or load()
        self._filter: FrameFilter | None = None
        self._enabled, self._bypass = True, False
        self.attenuation_limit, self.keep_highs = attenuation_limit, keep_highs

    @property
    def enabled(self) -> bool:
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._enabled = value
        self._filter = None  # what it has heard is not what comes next

    @property
    def delay(self) -> int:
        """Samples that the audio leaves later than it came, at the track's rate; 0 before the first frame."""
        return self._filter.delay if self._filter else 0

    @property
    def attenuation_limit(self) -> float | None:
        """dB by which noise may be pulled down, or None; a change fades in. Raises ConfigError below 0."""
        return self._limit

    @attenuation_limit.setter
    def attenuation_limit(self, limit: float | None) -> None:
        self._stream.attenuation_limit = limit
        self._limit = limit

    @property
    def bypass(self) -> bool:
        """Whether the delayed input passes unchanged; a change fades in."""
        return self._bypass

    @bypass.setter
    def bypass(self, bypass: bool) -> None:
        self._stream.bypass = bypass
        self._bypass = bypass

    @property
    def keep_highs(self) -> bool:
        """Whether what lies above 8 kHz is kept, as in `Stream.keep_highs`; a change fades in."""
        return self._keep_highs

    @keep_highs.setter
    def keep_highs(self, keep: bool) -> None:
        self._stream.keep_highs = keep
        self._keep_highs = keep

    @property
    def _stream(self) -> Stream:
        """The track's; before its first frame another, which only judges what is set."""
        return self._filter.stream if self._filter else self._denoiser.stream()

    def _process(self, frame: rtc.AudioFrame) -> rtc.AudioFrame:
        clean = self._filter_for(frame)(frame.data.tobytes())
        return rtc.AudioFrame(
            clean, frame.sample_rate, frame.num_channels, frame.samples_per_channel, userdata=frame.userdata
        )

    def _filter_for(self, frame: rtc.AudioFrame) -> FrameFilter:
        """The stream so far, or a new one where a track's format is another than before."""
        here = (frame.sample_rate, frame.num_channels)
        if self._filter is None or here != (self._filter.format.sample_rate, self._filter.format.channels):
            self._filter = FrameFilter(self._denoiser, *here, self._limit, self._bypass, self._keep_highs)
        return self._filter

    def _close(self) -> None:
        self._filter = None
