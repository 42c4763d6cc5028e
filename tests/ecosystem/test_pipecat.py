"""A real Pipecat pipeline, against what `Denoiser` makes of the same samples."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from agents import MILLISECONDS, RATES, Pcm, agrees, noise

import gtcrn
from gtcrn import AudioError, ConfigError, Denoiser
from gtcrn.integrations.frames import FrameFilter

pytest.importorskip("pipecat")

SAMPLES = Path(__file__).parents[2] / "samples"

pytestmark = pytest.mark.filterwarnings("ignore:'audioop' is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def shipped() -> Denoiser:
    return gtcrn.load()


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("filtered", [False, True])
def test_the_analyzer_hears_speech_begin_and_end(shipped: Denoiser, rate: int, filtered: bool) -> None:
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


def run(
    filtering: Any, rate: int, pcm: Pcm, milliseconds: int = 20, control: dict[int, Any] | None = None
) -> list[bytes]:
    """The audio behind an input transport with this filter; a `control` frame goes in before the chunk it names."""
    size, heard = rate * milliseconds // 1000, list[bytes]()
    chunks = [pcm[start : start + size].tobytes() for start in range(0, len(pcm), size)]

    async def main() -> None:
        from pipecat.workers.runner import WorkerRunner

        source = microphone(filtering, rate)
        worker = worker_of([source, ear(heard)], rate)
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        speaking = speak(source, worker, rate, chunks, heard, control or {})
        await asyncio.wait_for(asyncio.gather(runner.run(), speaking), 60)

    asyncio.run(main())
    assert [len(piece) for piece in heard] == [len(chunk) for chunk in chunks]
    return heard


def microphone(filtering: Any, rate: int) -> Any:
    from pipecat.transports.base_input import BaseInputTransport
    from pipecat.transports.base_transport import TransportParams

    class Microphone(BaseInputTransport):  # type: ignore[misc]  # Any where it is not installed
        async def start(self, frame: Any) -> None:
            await super().start(frame)
            await self.set_transport_ready(frame)

    return Microphone(TransportParams(audio_in_enabled=True, audio_in_filter=filtering, audio_in_sample_rate=rate))


def ear(heard: list[bytes]) -> Any:
    from pipecat.frames.frames import InputAudioRawFrame
    from pipecat.processors.frame_processor import FrameProcessor

    class Ear(FrameProcessor):  # type: ignore[misc]
        async def process_frame(self, frame: Any, direction: Any) -> None:
            await super().process_frame(frame, direction)
            if isinstance(frame, InputAudioRawFrame):
                heard.append(frame.audio)
            await self.push_frame(frame, direction)

    return Ear()


def worker_of(processors: list[Any], rate: int) -> Any:
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineParams, PipelineWorker

    params = PipelineParams(audio_in_sample_rate=rate)
    return PipelineWorker(Pipeline(processors), params=params, cancel_on_idle_timeout=False)


async def speak(
    microphone: Any, worker: Any, rate: int, chunks: list[bytes], heard: list[bytes], control: dict[int, Any]
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
@pytest.mark.parametrize("milliseconds", MILLISECONDS)
def test_a_pipeline_hears_what_a_file_holds(shipped: Denoiser, rate: int, milliseconds: int) -> None:
    """One channel: Pipecat tells its filters no more than the rate."""
    from gtcrn.integrations.pipecat import GtcrnFilter

    pcm = noise(1.0, rate)
    heard = run(GtcrnFilter(shipped, keep_highs=True), rate, pcm, milliseconds)
    delay = FrameFilter(shipped, rate).delay
    agrees(b"".join(heard), pcm, shipped, rate, delay, keep_highs=True)


def test_switched_off_the_input_passes_at_the_same_delay(shipped: Denoiser) -> None:
    from pipecat.frames.frames import FilterEnableFrame

    from gtcrn.integrations.pipecat import GtcrnFilter

    pcm = noise(1.0, 16_000)
    heard = run(GtcrnFilter(shipped), 16_000, pcm, control={10: FilterEnableFrame(enable=False)})
    delay = FrameFilter(shipped, 16_000).delay
    after = np.frombuffer(b"".join(heard), np.int16)[20 * 320 :]
    np.testing.assert_array_equal(after, pcm[20 * 320 - delay : len(pcm) - delay, 0])


def test_the_limit_can_be_set_and_a_wrong_one_is_refused(shipped: Denoiser) -> None:
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


def test_the_highs_can_be_kept_later(shipped: Denoiser) -> None:
    from loguru import logger
    from pipecat.frames.frames import FilterUpdateSettingsFrame

    from gtcrn.integrations.pipecat import GtcrnFilter

    pcm = noise(0.5, 48_000).tobytes()
    kept = FrameFilter(shipped, 48_000, keep_highs=True)(pcm)
    assert kept != FrameFilter(shipped, 48_000)(pcm)

    told: list[str] = []
    logger.add(told.append, format="{level} {message}")

    async def main() -> None:
        filtering = GtcrnFilter(shipped)
        await filtering.start(48_000)
        await filtering.process_frame(FilterUpdateSettingsFrame(settings={"keep_highs": True, "other": 1}))
        assert told == ["WARNING GtcrnFilter has no setting 'other'; it has attenuation_limit, keep_highs.\n"]
        assert await filtering.filter(pcm) == kept
        with pytest.raises(AudioError, match="keep_highs"):
            await filtering.process_frame(FilterUpdateSettingsFrame(settings={"keep_highs": "no"}))
        await filtering.stop()
        await filtering.start(48_000)
        assert await filtering.filter(pcm) == kept

    asyncio.run(main())
