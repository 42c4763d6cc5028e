"""Calls through the service over carriers' WebSockets, between a caller and a bot that tests play."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from calls import DELAY, Bot, bot, closed, codes, denoised, nobody, said
from commands import PATIENCE
from pydantic import ValidationError
from serving import running, settings, wait_for
from websockets.sync.client import connect

from gtcrn import Denoiser
from gtcrn.audio import laws
from gtcrn_server.turns import Turns, Work

FORMS = {
    "twilio": {"mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}},
    "telnyx": {"media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}},
}
STEP = 160  # codes of 20 ms


def start(carrier: str, **more: Any) -> dict[str, Any]:
    return {"event": "start", "start": {**FORMS[carrier], **more}, "streamSid": "MZ1"}


def media(codes: bytes, **more: Any) -> dict[str, Any]:
    return {"event": "media", "media": {"payload": base64.b64encode(codes).decode(), **more}, "streamSid": "MZ1"}


def played(one: Bot) -> bytes:
    return b"".join(base64.b64decode(m["media"]["payload"]) for m in one.heard if m["event"] == "media")


@pytest.mark.parametrize(("carrier", "law"), [("twilio", "ulaw"), ("telnyx", "ulaw"), ("telnyx", "alaw")])
def test_the_bot_hears_the_caller_denoised_and_everything_else_as_it_was(
    denoiser: Denoiser, carrier: str, law: str
) -> None:
    data = codes(1, law)
    pieces = [media(data[at : at + STEP], track="inbound") for at in range(0, len(data), STEP)]
    first = [{"event": "connected"}, start(carrier)]
    if law == "alaw":
        first[1]["start"]["media_format"] = {"encoding": "PCMA", "sample_rate": 8000, "channels": 1}
    digit, echo, stop = {"event": "dtmf", "dtmf": {"digit": "5"}}, media(b"\0" * 8, track="outbound"), {"event": "stop"}
    with bot() as one, running(denoiser, call_bot=one.url) as service:
        with connect(f"ws://127.0.0.1:{service.port}/v1/{carrier}") as call:
            said(call, *first, *pieces[:10], digit, echo, *pieces[10:], stop)
            assert closed(call) == (1000, "")
        assert one.gone.wait(PATIENCE)
        assert service.service.telemetry.opened[carrier] == 1
        wait_for(lambda: not service.service.telemetry.live)
    rest = [media(b"")] * -(-DELAY // STEP)
    assert [message["event"] for message in one.heard] == [
        message["event"] for message in (*first, *pieces[:10], digit, echo, *pieces[10:], *rest, stop)
    ]
    assert one.heard[:2] == first
    assert one.heard[12:14] == [digit, echo]
    one.heard.remove(echo)
    sizes = [len(base64.b64decode(m["media"]["payload"])) for m in one.heard if m["event"] == "media"]
    assert set(sizes) == {STEP}
    assert played(one) == denoised(denoiser, data, law, STEP)


@pytest.mark.parametrize("stops", [True, False], ids=["stop", "hangup"])
def test_the_last_words_come_before_the_end_and_all_is_counted(denoiser: Denoiser, stops: bool) -> None:
    """A caller who says little and is gone; Twilio numbers what it sends from 1, as text."""
    data = codes(0.06)
    pieces = [data[at : at + STEP] for at in range(0, len(data), STEP)]
    words = [start("twilio"), *(media(p, chunk=str(i + 1), timestamp=str(20 * i)) for i, p in enumerate(pieces))]
    words += [{"event": "mark"}, {"event": "stop"}] * stops
    words = [{**word, "sequenceNumber": str(i + 1)} for i, word in enumerate(words)]
    with bot() as one, running(denoiser, call_bot=one.url) as service:
        with connect(f"ws://127.0.0.1:{service.port}/v1/twilio") as call:
            said(call, *words)
            if stops:
                assert closed(call) == (1000, "")
        assert one.gone.wait(PATIENCE)
    assert played(one) == denoised(denoiser, data, "ulaw", STEP)
    heard = [message for message in one.heard if message["event"] == "media"]
    assert [message["media"]["chunk"] for message in heard] == [str(i + 1) for i in range(len(heard))]
    assert [message["media"]["timestamp"] for message in heard] == [str(20 * i) for i in range(len(heard))]
    assert [message["sequenceNumber"] for message in one.heard] == [str(i + 1) for i in range(len(one.heard))]
    assert one.heard[-1]["event"] == ("stop" if stops else "media")


def test_a_call_that_the_service_ends_has_its_last_words(denoiser: Denoiser) -> None:
    data = codes(0.1)
    pieces = [media(data[at : at + STEP]) for at in range(0, len(data), STEP)]
    with bot() as one, running(denoiser, call_bot=one.url, drain_seconds=0) as service:
        with connect(f"ws://127.0.0.1:{service.port}/v1/twilio") as call:
            said(call, start("twilio"), *pieces)
            wait_for(lambda: len(one.heard) == 1 + len(pieces))
            service.stop()
            assert closed(call)[0] == 1001
        assert one.gone.wait(PATIENCE)
    assert played(one) == denoised(denoiser, data, "ulaw", STEP)


def test_a_call_without_a_word_has_no_last_words(denoiser: Denoiser) -> None:
    with bot() as one, running(denoiser, call_bot=one.url) as service:
        with connect(f"ws://127.0.0.1:{service.port}/v1/telnyx") as call:
            said(call, start("telnyx"), {"event": "stop", "sequence_number": "9" * 5000})
            assert closed(call) == (1000, "")
        assert one.gone.wait(PATIENCE)
    assert one.heard[1:] == [{"event": "stop", "sequence_number": "9" * 5000}]


@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_the_tables_of_a_law_are_the_law(law: str) -> None:
    every, codes = np.arange(-32_768, 32_768, dtype="<i2"), bytes(range(256))
    assert laws.from_pcm16(every.tobytes(), law) == laws.encode((every / 32_768).astype(np.float32), law)
    assert laws.to_pcm16(codes, law) == (laws.decode(codes, law) * 32_768).astype("<i2").tobytes()


def test_the_delay_is_what_the_pages_say(denoiser: Denoiser) -> None:
    assert denoiser.stream(8_000).latency - 1 == DELAY


def test_what_the_bot_says_reaches_the_carrier_unchanged(denoiser: Denoiser) -> None:
    words = [media(b"\x7f\xff\0"), {"event": "mark", "streamSid": "MZ1", "mark": {"name": "a"}}, {"event": "clear"}]
    with bot() as one, running(denoiser, call_bot=one.url) as service:
        one.words = ['{"odd" :  1}', *words]
        with connect(f"ws://127.0.0.1:{service.port}/v1/twilio") as call:
            said(call, start("twilio"))
            assert call.recv(PATIENCE) == '{"odd" :  1}'
            assert [json.loads(call.recv(PATIENCE)) for _ in words] == words
            said(call, {"event": "mark", "mark": {"name": "a"}})
            wait_for(lambda: one.heard[-1]["event"] == "mark")


def test_each_side_may_leave(denoiser: Denoiser) -> None:
    with bot() as one, running(denoiser, call_bot=one.url) as service:
        with connect(f"ws://127.0.0.1:{service.port}/v1/twilio") as call:
            said(call, start("twilio"))
            wait_for(lambda: bool(one.heard))
        assert one.gone.wait(PATIENCE)
    with (
        nobody() as bots,
        running(denoiser, call_bot=bots) as service,
        connect(f"ws://127.0.0.1:{service.port}/v1/twilio") as call,
    ):
        said(call, start("twilio"))
        assert closed(call) == (1011, "The bot that calls go to cannot be reached.")


@pytest.mark.parametrize(
    ("messages", "code", "told"),
    [
        (["no json"], 1007, "A message is no JSON."),
        (["[" * 100_000], 1007, "A message is no JSON."),
        (["[]"], 1007, "A message must be a JSON object."),
        ([b"bytes"], 1003, "A carrier's messages are text."),
        ([media(b"\0")], 1003, "A call must begin with its start message."),
        ([{"event": "connected"}, {"event": "connected"}], 1003, "A call must begin with its start message."),
        ([{"event": "start", "start": {}}], 1008, "Audio must be audio/x-mulaw of 8000 Hz, one channel."),
        ([start("telnyx")], 1008, "Audio must be audio/x-mulaw of 8000 Hz, one channel."),
        ([start("twilio"), {"event": "media"}], 1007, "media.payload: there must be audio."),
        ([start("twilio"), {"event": "media", "media": {"payload": "?"}}], 1007, "media.payload: must be base64."),
    ],
    ids=str,
)
def test_what_is_wrong_is_told_in_the_close(denoiser: Denoiser, messages: list[Any], code: int, told: str) -> None:
    with bot() as one, running(denoiser, call_bot=one.url) as service:
        with connect(f"ws://127.0.0.1:{service.port}/v1/twilio") as call:
            said(call, *messages)
            assert closed(call) == (code, told)
        wait_for(lambda: not service.service.telemetry.live)


def test_a_key_may_come_as_a_parameter_that_the_bot_does_not_see(denoiser: Denoiser) -> None:
    with bot() as one, running(denoiser, call_bot=one.url, api_keys=("right",)) as service:
        address = f"ws://127.0.0.1:{service.port}/v1/twilio"
        with connect(f"{address}?key=right") as call:
            assert closed(call) == (1008, "key: there is no such query parameter.")
        for wrong in ({}, {"customParameters": {"key": "wrong"}}, {"customParameters": {"key": 1}}):
            with connect(address) as call:
                said(call, start("twilio", **wrong))
                assert closed(call)[0] == 1008
        assert not one.heard
        with connect(address) as call:
            said(call, start("twilio", customParameters={"key": "right", "name": "Ann"}), {"event": "stop"})
            assert closed(call)[0] == 1000
        wait_for(lambda: bool(one.heard))
        assert one.heard[0] == start("twilio", customParameters={"name": "Ann"})
        with connect(address, additional_headers={"Authorization": "Bearer right"}) as call:
            said(call, start("twilio"), {"event": "stop"})
            assert closed(call)[0] == 1000


def test_calls_are_streams_with_their_limits(denoiser: Denoiser) -> None:
    """A call counts for somewhat more than two streams."""
    with bot() as one, running(denoiser, call_bot=one.url, max_streams=3) as service:
        address = f"ws://127.0.0.1:{service.port}/v1/twilio"
        with connect(address) as first, connect(address) as second:
            said(first, start("twilio"))
            wait_for(lambda: one.heard)
            said(second, start("twilio"))
            assert closed(second)[0] == 1013


def test_a_call_that_does_not_start_in_time_is_ended(denoiser: Denoiser) -> None:
    with (
        bot() as one,
        running(denoiser, call_bot=one.url, start_seconds=0.5) as service,
        connect(f"ws://127.0.0.1:{service.port}/v1/twilio") as silent,
    ):
        assert closed(silent) == (1008, "No start message came within 0.5 s.")


def test_messages_of_calls_have_their_turns_among_all_others(
    denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those without audio: a thousand in one write."""
    asked, ask = list[Turns](), Turns.ask

    def noted(self: Turns, work: Work, wait: float) -> None:
        asked.append(self)
        ask(self, work, wait)

    monkeypatch.setattr(Turns, "ask", noted)
    with bot() as one, running(denoiser, call_bot=one.url) as service:
        with connect(f"ws://127.0.0.1:{service.port}/v1/twilio") as call:
            said(call, start("twilio"), *[{"event": "mark"}] * 1000, {"event": "stop"})
            closed(call)
        assert set(asked) == {service.service.turns}
        assert service.service.turns.due > 50
    assert len(one.heard) == 1002


def test_without_a_bot_there_are_no_calls(denoiser: Denoiser) -> None:
    with running(denoiser) as service, pytest.raises(Exception, match=r"403|404"):
        connect(f"ws://127.0.0.1:{service.port}/v1/twilio")
    for wrong in ({"audiosocket_port": 1}, {"audiosocket_bot": "a:1"}, {"call_bot": "http://a"}):
        with pytest.raises(ValidationError):
            settings(**wrong)
