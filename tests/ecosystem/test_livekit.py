"""A real LiveKit track, against what `Denoiser` makes of the same samples."""

import asyncio

import numpy as np
import pytest
from agents import MILLISECONDS, RATES, agrees, noise

import gtcrn
from gtcrn import AudioError, ConfigError, Denoiser
from gtcrn.integrations.frames import FrameFilter

pytest.importorskip("livekit.rtc")


@pytest.fixture(scope="module")
def shipped() -> Denoiser:
    return gtcrn.load()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("milliseconds", MILLISECONDS)
def test_a_track_is_heard_as_a_file_would_be(shipped: Denoiser, milliseconds: int, rate: int, channels: int) -> None:
    """Frames of that length go in and are asked for."""
    from livekit import rtc

    from gtcrn.integrations.livekit import GtcrnProcessor

    given: list[bytes] = []

    class Noted(GtcrnProcessor):
        def _process(self, frame: rtc.AudioFrame) -> rtc.AudioFrame:
            given.append(frame.data.tobytes())
            return super()._process(frame)

    processor, pcm, size = Noted(shipped, keep_highs=True), noise(0.5, rate, channels), rate * milliseconds // 1000

    async def main() -> list[rtc.AudioFrame]:
        source = rtc.AudioSource(rate, channels)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        stream = rtc.AudioStream(
            track,
            sample_rate=rate,
            num_channels=channels,
            frame_size_ms=milliseconds,
            noise_cancellation=processor,
        )
        for start in range(0, len(pcm), size):
            piece = pcm[start : start + size]
            await source.capture_frame(rtc.AudioFrame(piece.tobytes(), rate, channels, len(piece)))
        heard = [(await stream.__anext__()).frame for _ in range(400 // milliseconds)]
        await stream.aclose()
        await source.aclose()
        return heard

    heard = asyncio.run(asyncio.wait_for(main(), 60))
    delay = FrameFilter(shipped, rate, channels).delay
    before = np.frombuffer(b"".join(given), np.int16).reshape(-1, channels)
    assert np.abs(before).max() > 1000  # the track carried the noise
    assert {(frame.sample_rate, frame.num_channels, frame.samples_per_channel) for frame in heard} == {
        (rate, channels, size)
    }
    agrees(b"".join(frame.data.tobytes() for frame in heard), before, shipped, rate, delay, keep_highs=True)


def test_another_format_begins_anew_and_options_stay(shipped: Denoiser) -> None:
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


def test_off_and_on_again_hears_nothing_old(shipped: Denoiser) -> None:
    from livekit import rtc

    from gtcrn.integrations.livekit import GtcrnProcessor

    processor, pcm = GtcrnProcessor(shipped), noise(0.5, 16_000)
    frame = rtc.AudioFrame(pcm.tobytes(), 16_000, 1, len(pcm))
    first = processor._process(frame).data.tobytes()
    processor.enabled = False
    assert not processor.enabled
    processor.enabled = True
    assert processor._process(frame).data.tobytes() == first


def test_the_highs_can_be_kept_later(shipped: Denoiser) -> None:
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


def test_another_speakers_track_begins_anew(shipped: Denoiser) -> None:
    """LiveKit Agents give one processor every participant in turn."""
    from livekit import rtc

    from gtcrn.integrations.livekit import GtcrnProcessor

    processor, pcm = GtcrnProcessor(shipped), noise(0.2, 16_000)
    frame = rtc.AudioFrame(pcm.tobytes(), 16_000, 1, len(pcm))

    def heard(publication: str) -> bytes:
        processor._on_stream_info_updated(room_name="r", participant_identity="p", publication_sid=publication)
        return bytes(processor._process(frame).data)

    first = heard("a")
    assert heard("a") != first  # it goes on: the room told of it again
    assert heard("b") == first
    processor._on_stream_info_cleared()
    assert processor.delay == 0
    assert heard("b") == first


def test_off_it_returns_what_it_is_given(shipped: Denoiser) -> None:
    from livekit import rtc

    from gtcrn.integrations.livekit import GtcrnProcessor

    processor, pcm = GtcrnProcessor(shipped), noise(0.2, 16_000)
    frame = rtc.AudioFrame(pcm.tobytes(), 16_000, 1, len(pcm))
    processor.enabled = False
    assert processor._process(frame) is frame


def test_audio_of_before_the_connection_leaves_the_live_stream_whole(shipped: Denoiser) -> None:
    """It comes between live frames, at the rate of whoever recorded it."""
    from livekit import rtc

    from gtcrn.integrations.livekit import GtcrnProcessor

    processor, streams = GtcrnProcessor(shipped), {rate: FrameFilter(shipped, rate) for rate in (24_000, 48_000)}
    for rate in (24_000, 48_000, 24_000, 48_000):
        pcm = noise(0.2, rate)
        clean = processor._process(rtc.AudioFrame(pcm.tobytes(), rate, 1, len(pcm)))
        assert clean.data.tobytes() == streams[rate](pcm.tobytes())
        assert processor.delay == streams[rate].delay
    processor.bypass = True
    for rate, stream in streams.items():
        stream.stream.bypass = True
        pcm = noise(0.2, rate)
        clean = processor._process(rtc.AudioFrame(pcm.tobytes(), rate, 1, len(pcm)))
        assert clean.data.tobytes() == stream(pcm.tobytes())
