"""For Pipecat: a filter of input transports, `TransportParams(audio_in_filter=GtcrnFilter())`, and a `VADAnalyzer`."""

from typing import Any

from loguru import logger
from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams
from pipecat.frames.frames import FilterControlFrame, FilterEnableFrame, FilterUpdateSettingsFrame

from gtcrn.denoiser import Denoiser, load
from gtcrn.integrations.frames import FrameFilter
from gtcrn.stream import Stream

HOP_SECONDS = 0.016


class GtcrnFilter(BaseAudioFilter):
    """Denoises a transport's audio (mono 16-bit PCM at any rate of 8 to 192 kHz) before voice activity detection.

    Each call returns as many samples as came in, `delay` samples late. `FilterEnableFrame(False)` passes the audio on
    unchanged at the same delay, and back, without a gap; `FilterUpdateSettingsFrame({"attenuation_limit": 12.0})` sets
    how many dB noise may be pulled down (None: no limit), `{"keep_highs": True}` whether what lies above 8 kHz is kept.
    """

    def __init__(
        self, denoiser: Denoiser | None = None, attenuation_limit: float | None = None, keep_highs: bool = False
    ) -> None:
        """With the shipped weights unless a `denoiser` is given, which any number of filters can share; the options
        are those of `Denoiser.stream`, and refused as there."""
        self._denoiser = denoiser or load()
        self._filter: FrameFilter | None = None
        self._enabled = True
        self._options: dict[str, Any] = {}
        self._set(attenuation_limit=attenuation_limit, keep_highs=keep_highs)

    @property
    def delay(self) -> int:
        """Samples that the audio leaves later than it came, at the transport's rate; 0 before `start`."""
        return self._filter.delay if self._filter else 0

    async def start(self, sample_rate: int) -> None:
        """Open a stream at the transport's rate in Hz. Raises AudioError for one that is not 8,000 to 192,000 Hz."""
        self._filter = FrameFilter(self._denoiser, sample_rate, bypass=not self._enabled, **self._options)

    async def stop(self) -> None:
        """Forget the stream; what it still holds (`delay` samples) is dropped."""
        self._filter = None

    async def process_frame(self, frame: FilterControlFrame) -> None:
        """Switch or set what the frame says; it holds for the audio after it. Raises as `Stream` does."""
        if isinstance(frame, FilterEnableFrame):
            self._enabled = frame.enable
            if self._filter:
                self._filter.stream.bypass = not frame.enable
        elif isinstance(frame, FilterUpdateSettingsFrame):
            if unknown := frame.settings.keys() - self._options.keys():
                logger.warning(f"GtcrnFilter has no setting {min(unknown)!r}; it has {', '.join(self._options)}.")
            self._set(**{name: value for name, value in frame.settings.items() if name in self._options})

    def _set(self, **options: Any) -> None:
        """On the transport's stream; before `start` on another, which only judges them."""
        stream = self._filter.stream if self._filter else self._denoiser.stream()
        for name, value in options.items():
            setattr(stream, name, value)
            self._options[name] = value

    async def filter(self, audio: bytes) -> bytes:
        """Denoised audio, as many bytes as came in; unchanged before `start` and after `stop`."""
        return self._filter(audio) if self._filter else audio


class GtcrnVADAnalyzer(VADAnalyzer):
    """Voice activity by the speech probability of a stream of its own (`gtcrn.Levels`), every 16 ms, at any rate of 8
    to 192 kHz; before or behind a GtcrnFilter, which makes little difference to it.

    README.md says how often it is right beside other detectors. It goes by what is left of the sound: whoever is
    quieter than -50 dBFS may go unheard, and voices in the background are voices.
    """

    def __init__(
        self, denoiser: Denoiser | None = None, *, sample_rate: int | None = None, params: VADParams | None = None
    ) -> None:
        """With the shipped weights unless a `denoiser` is given; `sample_rate` (Hz) and `params` are Pipecat's."""
        super().__init__(sample_rate=sample_rate, params=params)
        self._denoiser = denoiser or load()
        self._stream: Stream | None = None

    def set_sample_rate(self, sample_rate: int) -> None:
        """Open a stream at the rate in Hz. Raises AudioError for one that is not 8,000 to 192,000 Hz."""
        self._stream = self._denoiser.stream(self._init_sample_rate or sample_rate)
        super().set_sample_rate(sample_rate)

    def num_frames_required(self) -> int:
        """Samples of a hop."""
        rate: int = self.sample_rate
        return round(HOP_SECONDS * rate)

    def voice_confidence(self, buffer: bytes) -> float:
        """The probability that someone speaks in the last 32 ms; 0 before `set_sample_rate`."""
        if self._stream is None:
            return 0.0
        self._stream.push_pcm16(buffer)
        return self._stream.levels.speech
