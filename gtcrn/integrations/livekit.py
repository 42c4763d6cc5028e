"""A frame processor for LiveKit: `noise_cancellation=GtcrnProcessor()` of an AudioStream or an agent's room input."""

from livekit import rtc

from gtcrn.denoiser import Denoiser, load
from gtcrn.integrations.frames import FrameFilter


class GtcrnProcessor(rtc.FrameProcessor[rtc.AudioFrame]):
    """Denoises a track's frames: any rate of 8 to 192 kHz, any number of channels up to 64, frames of any length.

    Each frame comes back with as many samples, `delay` samples late. `bypass` passes the audio on unchanged at the
    same delay, without a gap; `enabled = False` takes the processor out of the way altogether, delay included. Another
    track begins anew, options stay. Audio of two formats in turns, as of an agent's track and what was recorded before
    it connected, is two streams; of one format it is one.
    """

    def __init__(
        self, denoiser: Denoiser | None = None, attenuation_limit: float | None = None, keep_highs: bool = False
    ) -> None:
        """With the shipped weights unless a `denoiser` is given, which any number of processors can share; the options
        are those of `Denoiser.stream`, and refused as there."""
        self._denoiser = denoiser or load()
        self._filters: dict[tuple[int, int], FrameFilter] = {}  # by rate and channels
        self._delay, self._publication = 0, ""
        self._enabled, self._bypass = True, False
        self.attenuation_limit, self.keep_highs = attenuation_limit, keep_highs

    @property
    def enabled(self) -> bool:
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._enabled = value
        self._forget()  # what it has heard is not what comes next

    @property
    def delay(self) -> int:
        """Samples that the audio leaves later than it came, at the track's rate; 0 before the first frame."""
        return self._delay

    @property
    def attenuation_limit(self) -> float | None:
        """dB by which noise may be pulled down, or None; a change fades in. Raises ConfigError below 0."""
        return self._limit

    @attenuation_limit.setter
    def attenuation_limit(self, limit: float | None) -> None:
        self._set("attenuation_limit", limit)
        self._limit = limit

    @property
    def bypass(self) -> bool:
        """Whether the delayed input passes unchanged; a change fades in."""
        return self._bypass

    @bypass.setter
    def bypass(self, bypass: bool) -> None:
        self._set("bypass", bypass)
        self._bypass = bypass

    @property
    def keep_highs(self) -> bool:
        """Whether what lies above 8 kHz is kept, as in `Stream.keep_highs`; a change fades in."""
        return self._keep_highs

    @keep_highs.setter
    def keep_highs(self, keep: bool) -> None:
        self._set("keep_highs", keep)
        self._keep_highs = keep

    def _set(self, option: str, value: object) -> None:
        """On the track's streams; before its first frame on another, which only judges it."""
        for stream in [one.stream for one in self._filters.values()] or [self._denoiser.stream()]:
            setattr(stream, option, value)

    def _process(self, frame: rtc.AudioFrame) -> rtc.AudioFrame:
        if not self._enabled:  # LiveKit Agents do not ask where it was recorded before they connected
            return frame
        clean = self._filter_for(frame)(frame.data.tobytes())
        return rtc.AudioFrame(
            clean, frame.sample_rate, frame.num_channels, frame.samples_per_channel, userdata=frame.userdata
        )

    def _filter_for(self, frame: rtc.AudioFrame) -> FrameFilter:
        """The stream so far of this format, or a new one."""
        here = (frame.sample_rate, frame.num_channels)
        if here not in self._filters:
            self._filters[here] = FrameFilter(self._denoiser, *here, self._limit, self._bypass, self._keep_highs)
        self._delay = self._filters[here].delay
        return self._filters[here]

    def _on_stream_info_updated(self, *, room_name: str, participant_identity: str, publication_sid: str) -> None:
        """A track's, before its first frame; told again for the same one when the room connects anew."""
        if publication_sid != self._publication:
            self._forget()
        self._publication = publication_sid

    def _on_stream_info_cleared(self) -> None:
        self._close()

    def _close(self) -> None:
        self._publication = ""
        self._forget()

    def _forget(self) -> None:
        self._filters.clear()
        self._delay = 0
