"""Calls with Pipecat's own serializers at both ends: a caller's, turned round, and the bot's."""

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from calls import DELAY, bot
from serving import running, speech
from websockets.sync.client import connect

import gtcrn

pytest.importorskip("pipecat")
pytestmark = pytest.mark.filterwarnings("ignore:'audioop' is deprecated:DeprecationWarning")

RATE, STEP = 8_000, 160
STARTS = {
    "twilio": {"mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": RATE, "channels": 1}, "streamSid": "MZ1"},
    "telnyx": {"media_format": {"encoding": "PCMU", "sample_rate": RATE, "channels": 1}},
}


def serializer(carrier: str) -> Any:
    """Set up as a pipeline of 8 kHz would."""
    from pipecat.serializers.telnyx import TelnyxFrameSerializer
    from pipecat.serializers.twilio import TwilioFrameSerializer

    if carrier == "twilio":
        made = TwilioFrameSerializer("MZ1", params=TwilioFrameSerializer.InputParams(auto_hang_up=False))
    else:
        made = TelnyxFrameSerializer("s1", "PCMU", "PCMU", params=TelnyxFrameSerializer.InputParams(auto_hang_up=False))
    made._sample_rate = RATE
    return made


def to_text(carrier: str, *frames: Any) -> list[str]:
    async def convert() -> list[str]:
        made = serializer(carrier)
        return [text for frame in frames if (text := await made.serialize(frame))]

    return asyncio.run(convert())


def to_frames(carrier: str, texts: list[str]) -> list[Any]:
    async def convert() -> list[Any]:
        made = serializer(carrier)
        return [frame for text in texts if (frame := await made.deserialize(text))]

    return asyncio.run(convert())


@pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
def test_a_pipecat_bot_hears_the_caller_denoised_and_is_heard(carrier: str) -> None:
    from pipecat.frames.frames import InputAudioRawFrame, InputDTMFFrame, InterruptionFrame, OutputAudioRawFrame

    denoiser = gtcrn.load()
    samples = (speech(1, sample_rate=RATE)[0] * 32_767).astype("<i2")
    pieces = [samples[at : at + STEP].tobytes() for at in range(0, len(samples), STEP)]
    spoken = to_text(carrier, *(OutputAudioRawFrame(audio=piece, sample_rate=RATE, num_channels=1) for piece in pieces))
    answers = to_text(
        carrier, OutputAudioRawFrame(audio=pieces[0], sample_rate=RATE, num_channels=1), InterruptionFrame()
    )
    digit = json.dumps({"event": "dtmf", "dtmf": {"digit": "5"}})
    with bot() as one, running(denoiser, call_bot=one.url) as service:
        one.words = answers
        with connect(f"ws://127.0.0.1:{service.port}/v1/{carrier}") as call:
            for text in ('{"event": "connected"}', json.dumps({"event": "start", "start": STARTS[carrier]}), *spoken):
                call.send(text)
            assert [call.recv(5), call.recv(5)] == answers
            call.send(digit)
            call.send('{"event": "stop"}')
        assert one.gone.wait(10)
    frames = to_frames(carrier, [json.dumps(message) for message in one.heard])
    assert isinstance(frames.pop(len(pieces)), InputDTMFFrame)  # before what was still inside when the call stopped
    assert all(isinstance(frame, InputAudioRawFrame) for frame in frames)
    heard = np.frombuffer(b"".join(frame.audio for frame in frames), "<i2").astype(float)
    wanted = np.concatenate((np.zeros(DELAY), denoiser(samples / np.float32(32_768), RATE) * 32_768))
    wanted = np.pad(wanted, (0, -len(wanted) % STEP))  # to the last sample, in messages of one length
    assert len(heard) == len(wanted)
    assert np.abs(heard - wanted).max() <= 8 + 0.05 * np.abs(wanted).max()  # mu-law, twice
    assert np.corrcoef(heard, wanted)[0, 1] > 0.99


@pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
def test_nothing_is_invented_beyond_the_telephone(carrier: str) -> None:
    """What a bot of 8 kHz gets is 8 kHz: as many samples as the caller sent, late."""
    with bot() as one, running(gtcrn.load(), call_bot=one.url) as service:
        with connect(f"ws://127.0.0.1:{service.port}/v1/{carrier}") as call:
            from pipecat.frames.frames import OutputAudioRawFrame

            pcm = (speech(0.1, sample_rate=RATE)[0] * 32_767).astype("<i2").tobytes()
            (text,) = to_text(carrier, OutputAudioRawFrame(audio=pcm, sample_rate=RATE, num_channels=1))
            for message in (json.dumps({"event": "start", "start": STARTS[carrier]}), text, '{"event": "stop"}'):
                call.send(message)
        assert one.gone.wait(10)
    frames = to_frames(carrier, [json.dumps(message) for message in one.heard])
    assert [(len(frame.audio), frame.sample_rate) for frame in frames] == [(len(pcm), RATE), (2 * DELAY, RATE)]
