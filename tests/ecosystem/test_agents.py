"""Voice agents: a real Pipecat pipeline and a real LiveKit track, against what `Denoiser` makes of the same samples."""

import asyncio
import gc
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

import gtcrn
from gtcrn import AudioError, ConfigError, Denoiser
from gtcrn.integrations.frames import FrameFilter

Pcm = NDArray[np.int16]  # (n, channels)

SAMPLES = Path(__file__).parents[2] / "samples"
RATES = (8_000, 16_000, 24_000, 48_000)


@pytest.fixture(scope="module")
def shipped() -> Denoiser:
    return gtcrn.load()


def noise(seconds: float, rate: int, channels: int = 1) -> Pcm:
    random = np.random.default_rng(rate + channels)
    loud = 3000 * np.abs(np.sin(np.arange(int(seconds * rate)) * (2 * np.pi * 3 / rate)))
    return np.asarray(random.standard_normal((len(loud), channels)) * loud[:, None], np.int16)


def expected(denoiser: Denoiser, pcm: Pcm, rate: int, delay: int, **options: Any) -> NDArray[np.float64]:
    """What the file denoiser makes of it, `delay` samples late, in steps of 16-bit PCM."""
    clean = denoiser((pcm.T / np.float32(32768)).astype(np.float32), rate, **options).T * 32768.0
    return np.concatenate((np.zeros((delay, pcm.shape[1])), clean))[: len(pcm)]


def agrees(got: bytes, pcm: Pcm, denoiser: Denoiser, rate: int, delay: int, **options: Any) -> None:
    clean = np.frombuffer(got, np.int16).reshape(-1, pcm.shape[1])
    assert len(clean) <= len(pcm)
    assert np.abs(clean - expected(denoiser, pcm, rate, delay, **options)[: len(clean)]).max() <= 1


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("milliseconds", [10, 20, 30, 50])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_frame_gives_a_frame(shipped: Denoiser, rate: int, milliseconds: int, channels: int) -> None:
    pcm = noise(0.6, rate, channels)
    filtering = FrameFilter(shipped, rate, channels)
    size = rate * milliseconds // 1000
    pieces = [pcm[start : start + size].tobytes() for start in range(0, len(pcm), size)]
    answers = [filtering(piece) for piece in pieces]
    assert [len(answer) for answer in answers] == [len(piece) for piece in pieces]
    agrees(b"".join(answers), pcm, shipped, rate, filtering.delay)


def test_half_a_sample_is_refused(shipped: Denoiser) -> None:
    with pytest.raises(AudioError, match="whole samples of 4 bytes"):
        FrameFilter(shipped, 16_000, 2)(bytes(6))


def test_nothing_grows_in_ten_minutes(shipped: Denoiser) -> None:
    filtering, frame = FrameFilter(shipped, 16_000), noise(0.02, 16_000).tobytes()
    held = []
    tracemalloc.start()
    for _ in range(10):
        for _ in range(60 * 50):
            filtering(frame)
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[-1] <= held[1] + 2_000  # bytes: lists of the measurement itself


@pytest.mark.filterwarnings("ignore:'audioop' is deprecated:DeprecationWarning")
class TestPipecat:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("pipecat")

    @pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
    @pytest.mark.parametrize("filtered", [False, True])
    def test_the_analyzer_hears_speech_begin_and_end(self, shipped: Denoiser, rate: int, filtered: bool) -> None:
        """A sentence in noise, of samples/, between two times the noise alone."""
        from pipecat.audio.vad.vad_analyzer import VADParams, VADState

        from gtcrn.integrations.pipecat import GtcrnVADAnalyzer

        noisy, clean = (soundfile.read(SAMPLES / name, dtype="float32")[0] for name in ("noisy.wav", "clean.wav"))
        sound = soxr.resample(np.concatenate((noisy - clean, noisy, noisy - clean)), 16_000, rate)
        pcm = (sound * 32768).astype(np.int16)
        if filtered:
            pcm = np.frombuffer(FrameFilter(shipped, rate)(pcm.tobytes()), np.int16)
        analyzer = GtcrnVADAnalyzer(shipped, params=VADParams(min_volume=0))
        analyzer.set_sample_rate(rate)
        pieces = [pcm[start : start + rate // 50].tobytes() for start in range(0, len(pcm), rate // 50)]

        async def listen() -> list[VADState]:
            return [await analyzer.analyze_audio(piece) for piece in pieces]

        states = asyncio.run(listen())
        asyncio.run(analyzer.cleanup())
        third = len(states) // 3
        assert VADState.SPEAKING not in states[:third]
        assert states[third : 2 * third].count(VADState.SPEAKING) > third / 3
        assert states[-third // 2 :].count(VADState.SPEAKING) == 0

    def run(self, filtering: Any, rate: int, pcm: Pcm, control: dict[int, Any] | None = None) -> list[bytes]:
        """The audio behind an input transport with this filter; a `control` frame goes in before the chunk it names."""
        size, heard = rate // 50, list[bytes]()
        chunks = [pcm[start : start + size].tobytes() for start in range(0, len(pcm), size)]

        async def main() -> None:
            from pipecat.workers.runner import WorkerRunner

            microphone = self.microphone(filtering, rate)
            worker = self.worker([microphone, self.ear(heard)], rate)
            runner = WorkerRunner(handle_sigint=False)
            await runner.add_workers(worker)
            speaking = self.speak(microphone, worker, rate, chunks, heard, control or {})
            await asyncio.wait_for(asyncio.gather(runner.run(), speaking), 60)

        asyncio.run(main())
        assert [len(piece) for piece in heard] == [len(chunk) for chunk in chunks]
        return heard

    def microphone(self, filtering: Any, rate: int) -> Any:
        from pipecat.transports.base_input import BaseInputTransport
        from pipecat.transports.base_transport import TransportParams

        class Microphone(BaseInputTransport):  # type: ignore[misc]  # Any where it is not installed
            async def start(self, frame: Any) -> None:
                await super().start(frame)
                await self.set_transport_ready(frame)

        return Microphone(TransportParams(audio_in_enabled=True, audio_in_filter=filtering, audio_in_sample_rate=rate))

    def ear(self, heard: list[bytes]) -> Any:
        from pipecat.frames.frames import InputAudioRawFrame
        from pipecat.processors.frame_processor import FrameProcessor

        class Ear(FrameProcessor):  # type: ignore[misc]
            async def process_frame(self, frame: Any, direction: Any) -> None:
                await super().process_frame(frame, direction)
                if isinstance(frame, InputAudioRawFrame):
                    heard.append(frame.audio)
                await self.push_frame(frame, direction)

        return Ear()

    def worker(self, processors: list[Any], rate: int) -> Any:
        from pipecat.pipeline.pipeline import Pipeline
        from pipecat.pipeline.worker import PipelineParams, PipelineWorker

        params = PipelineParams(audio_in_sample_rate=rate)
        return PipelineWorker(Pipeline(processors), params=params, cancel_on_idle_timeout=False)

    async def speak(
        self, microphone: Any, worker: Any, rate: int, chunks: list[bytes], heard: list[bytes], control: dict[int, Any]
    ) -> None:
        from pipecat.frames.frames import EndFrame, InputAudioRawFrame
        from pipecat.processors.frame_processor import FrameDirection

        while microphone._audio_task is None:
            await asyncio.sleep(0.01)
        for number, chunk in enumerate(chunks):
            if number in control:
                while len(heard) < number:
                    await asyncio.sleep(0.001)
                await microphone.process_frame(control[number], FrameDirection.DOWNSTREAM)
            await microphone.push_audio_frame(InputAudioRawFrame(audio=chunk, sample_rate=rate, num_channels=1))
        while len(heard) < len(chunks):
            await asyncio.sleep(0.01)
        await worker.queue_frame(EndFrame())

    @pytest.mark.parametrize("rate", RATES)
    def test_a_pipeline_hears_what_a_file_holds(self, shipped: Denoiser, rate: int) -> None:
        from gtcrn.integrations.pipecat import GtcrnFilter

        pcm = noise(1.0, rate)
        heard = self.run(GtcrnFilter(shipped, keep_highs=True), rate, pcm)
        delay = FrameFilter(shipped, rate).delay
        agrees(b"".join(heard), pcm, shipped, rate, delay, keep_highs=True)

    def test_switched_off_the_input_passes_at_the_same_delay(self, shipped: Denoiser) -> None:
        from pipecat.frames.frames import FilterEnableFrame

        from gtcrn.integrations.pipecat import GtcrnFilter

        pcm = noise(1.0, 16_000)
        heard = self.run(GtcrnFilter(shipped), 16_000, pcm, {10: FilterEnableFrame(enable=False)})
        delay = FrameFilter(shipped, 16_000).delay
        after = np.frombuffer(b"".join(heard), np.int16)[20 * 320 :]
        np.testing.assert_array_equal(after, pcm[20 * 320 - delay : len(pcm) - delay, 0])

    def test_the_limit_can_be_set_and_a_wrong_one_is_refused(self, shipped: Denoiser) -> None:
        from pipecat.frames.frames import FilterUpdateSettingsFrame

        from gtcrn.integrations.pipecat import GtcrnFilter

        async def main() -> None:
            filtering = GtcrnFilter(shipped)
            await filtering.start(16_000)
            await filtering.process_frame(FilterUpdateSettingsFrame(settings={"attenuation_limit": 6.0}))
            loud = noise(1.0, 16_000).tobytes()
            limited = np.frombuffer(await filtering.filter(loud), np.int16)[8_000:].astype(float)
            assert np.sqrt(np.mean(limited**2)) > 0.4 * np.sqrt(np.mean(noise(1.0, 16_000).astype(float) ** 2))
            with pytest.raises(ConfigError):
                await filtering.process_frame(FilterUpdateSettingsFrame(settings={"attenuation_limit": -1.0}))
            with pytest.raises(ConfigError, match="0 dB or more"):
                GtcrnFilter(shipped, attenuation_limit=-1)
            await filtering.stop()
            assert await filtering.filter(loud) == loud

        asyncio.run(main())

    def test_the_highs_can_be_kept_later(self, shipped: Denoiser) -> None:
        from pipecat.frames.frames import FilterUpdateSettingsFrame

        from gtcrn.integrations.pipecat import GtcrnFilter

        pcm = noise(0.5, 48_000).tobytes()
        kept = FrameFilter(shipped, 48_000, keep_highs=True)(pcm)
        assert kept != FrameFilter(shipped, 48_000)(pcm)

        async def main() -> None:
            filtering = GtcrnFilter(shipped)
            await filtering.start(48_000)
            await filtering.process_frame(FilterUpdateSettingsFrame(settings={"keep_highs": True, "other": 1}))
            assert await filtering.filter(pcm) == kept
            with pytest.raises(AudioError, match="keep_highs"):
                await filtering.process_frame(FilterUpdateSettingsFrame(settings={"keep_highs": "no"}))
            await filtering.stop()
            await filtering.start(48_000)
            assert await filtering.filter(pcm) == kept

        asyncio.run(main())


class TestLiveKit:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("livekit.rtc")

    @pytest.mark.parametrize("channels", [1, 2])
    @pytest.mark.parametrize("rate", RATES)
    def test_a_track_is_heard_as_a_file_would_be(self, shipped: Denoiser, rate: int, channels: int) -> None:
        from livekit import rtc

        from gtcrn.integrations.livekit import GtcrnProcessor

        given: list[bytes] = []

        class Noted(GtcrnProcessor):
            def _process(self, frame: rtc.AudioFrame) -> rtc.AudioFrame:
                given.append(frame.data.tobytes())
                return super()._process(frame)

        processor, pcm, size = Noted(shipped, keep_highs=True), noise(0.5, rate, channels), rate // 100

        async def main() -> list[rtc.AudioFrame]:
            source = rtc.AudioSource(rate, channels)
            track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
            stream = rtc.AudioStream(track, sample_rate=rate, num_channels=channels, noise_cancellation=processor)
            for start in range(0, len(pcm), size):
                piece = pcm[start : start + size]
                await source.capture_frame(rtc.AudioFrame(piece.tobytes(), rate, channels, len(piece)))
            heard = [(await stream.__anext__()).frame for _ in range(40)]
            await stream.aclose()
            await source.aclose()
            return heard

        heard = asyncio.run(asyncio.wait_for(main(), 60))
        delay = FrameFilter(shipped, rate, channels).delay
        before = np.frombuffer(b"".join(given), np.int16).reshape(-1, channels)
        assert np.abs(before).max() > 1000  # the track carried the noise
        assert all(frame.sample_rate == rate and frame.num_channels == channels for frame in heard)
        agrees(b"".join(frame.data.tobytes() for frame in heard), before, shipped, rate, delay, keep_highs=True)

    def test_another_format_begins_anew_and_options_stay(self, shipped: Denoiser) -> None:
        from livekit import rtc

        from gtcrn.integrations.livekit import GtcrnProcessor

        processor = GtcrnProcessor(shipped)
        processor.bypass = True
        for rate, channels in ((48_000, 1), (24_000, 2)):
            pcm, delay = noise(0.2, rate, channels), FrameFilter(shipped, rate, channels).delay
            clean = processor._process(rtc.AudioFrame(pcm.tobytes(), rate, channels, len(pcm)))
            assert processor.delay == delay
            late = np.frombuffer(clean.data, np.int16).reshape(-1, channels)[delay:]
            np.testing.assert_array_equal(late, pcm[: len(late)])

    def test_off_and_on_again_hears_nothing_old(self, shipped: Denoiser) -> None:
        from livekit import rtc

        from gtcrn.integrations.livekit import GtcrnProcessor

        processor, pcm = GtcrnProcessor(shipped), noise(0.5, 16_000)
        frame = rtc.AudioFrame(pcm.tobytes(), 16_000, 1, len(pcm))
        first = processor._process(frame).data.tobytes()
        processor.enabled = False
        assert not processor.enabled
        processor.enabled = True
        assert processor._process(frame).data.tobytes() == first

    def test_the_highs_can_be_kept_later(self, shipped: Denoiser) -> None:
        from livekit import rtc

        from gtcrn.integrations.livekit import GtcrnProcessor

        processor, pcm = GtcrnProcessor(shipped), noise(0.5, 48_000)
        frame = rtc.AudioFrame(pcm.tobytes(), 48_000, 1, len(pcm))
        first = processor._process(frame).data.tobytes()
        processor.keep_highs = True
        later = processor._process(frame).data.tobytes()
        filtering = FrameFilter(shipped, 48_000)
        assert first == filtering(pcm.tobytes())
        filtering.stream.keep_highs = True
        assert later == filtering(pcm.tobytes())
        for one in (processor, GtcrnProcessor(shipped, keep_highs=True)):
            with pytest.raises(AudioError, match="keep_highs"):
                setattr(one, "keep_highs", "no")  # noqa: B010  # past the types
            assert one.keep_highs
        with pytest.raises(ConfigError, match="0 dB or more"):
            GtcrnProcessor(shipped, attenuation_limit=-1)
