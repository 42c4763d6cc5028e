"""What is malformed is told in a sentence and survived, or closes the connection with a code."""

import asyncio
import contextlib
import json
from collections.abc import Iterator

import httpx
import pytest
from serving import (
    END,
    START,
    Answer,
    Running,
    offline,
    pcm,
    receive_all,
    running,
    say,
    send_all,
    speech,
    wait_for,
)
from websockets.asyncio.client import connect
from websockets.sync.client import connect as connect_now

from gtcrn import Denoiser
from gtcrn_server.service import Service


@pytest.fixture(scope="module")
def service(denoiser: Denoiser) -> Iterator[Running]:
    with running(denoiser, max_message_bytes=20_000) as instance:
        yield instance
        assert instance.service.telemetry.live == 0


BAD_STARTS = {
    "no JSON": ("start!", 1007, "malformed"),
    "no object": ("[1]", 1007, "malformed"),
    "unknown type": ('{"type": "begin"}', 1007, "malformed"),
    "end first": ('{"type": "end"}', 1003, "unexpected"),
    "audio first": (b"\0\0", 1003, "unexpected"),
    "wrong type": ('{"type": "start", "sample_rate": "fast"}', 1007, "malformed"),
    "rate too low": ('{"type": "start", "sample_rate": 100}', 1007, "malformed"),
    "no channels": ('{"type": "start", "channels": 0}', 1007, "malformed"),
    "unknown encoding": ('{"type": "start", "encoding": "mp3"}', 1007, "malformed"),
    "negative limit": ('{"type": "start", "attenuation_limit": -1}', 1007, "malformed"),
    "misspelled": ('{"type": "start", "sample_rat": 16000}', 1007, "malformed"),
    "deeply nested": ("[" * 9_000, 1007, "malformed"),
}


@pytest.mark.parametrize(("message", "code", "kind"), BAD_STARTS.values(), ids=BAD_STARTS)
def test_a_bad_start_is_told_and_closes(service: Running, message: str | bytes, code: int, kind: str) -> None:
    with connect_now(service.socket) as connection:
        connection.send(message)
        fault = json.loads(connection.recv())
        with contextlib.suppress(Exception):
            connection.recv()
        assert (fault["type"], fault["code"]) == ("error", kind)
        assert connection.close_code == code
        assert connection.close_reason == fault["message"][:120]


def test_the_sentence_names_the_field(service: Running) -> None:
    answer = say(service.socket, {**START, "sample_rate": 100})
    assert "sample_rate" in answer.events[0]["message"]


def test_text_where_audio_belongs_is_told_and_survived(service: Running, denoiser: Denoiser) -> None:
    data = pcm(speech(0.5))

    async def interrupted() -> Answer:
        async with connect(service.socket) as connection:
            reading = asyncio.ensure_future(receive_all(connection))
            await send_all(connection, [START, data[:8000]])
            for text in ("AAAA", '{"type": "set", "bypass": 7}', '{"type": "start"}', '{"type": "mark", "id": null}'):
                await connection.send(text)
            await send_all(connection, [data[8000:], END])
            return await reading

    answer = asyncio.run(interrupted())
    assert [event["type"] for event in answer.events] == ["ready", "error", "error", "error", "error", "done"]
    assert answer.audio == offline(denoiser, data)


def test_who_only_sends_nonsense_is_closed(service: Running) -> None:
    answer = say(service.socket, START, *[{"type": "nonsense"}] * 50)
    assert answer.code == 1007
    assert len(answer.events) == 1 + 11


def test_half_a_sample_cannot_go_on(service: Running) -> None:
    answer = say(service.socket, {**START, "channels": 2}, b"\0" * 6)
    assert answer.code == 1007
    assert "4-byte samples" in answer.events[-1]["message"]


def test_a_huge_message_closes(service: Running) -> None:
    assert say(service.socket, START, b"\0" * 20_002).code == 1009


def test_a_huge_text_closes(service: Running) -> None:
    assert say(service.socket, START, {"type": "mark", "id": "x" * 30_000}).code == 1009


def test_too_many_marks_are_refused(service: Running) -> None:
    marks = [{"type": "mark", "id": i} for i in range(1001)]
    answer = say(service.socket, START, b"\0\0", *marks, END)
    assert [event["type"] for event in answer.events].count("mark") == 1000
    assert [event["code"] for event in answer.events if event["type"] == "error"] == ["unexpected"]


def test_broken_frames_close_with_a_protocol_error(service: Running) -> None:
    """An unmasked frame, as no client may send it."""
    with connect_now(service.socket) as connection:
        connection.send(json.dumps(START))
        connection.recv()
        connection.socket.sendall(b"\x82\x02ab")
        with contextlib.suppress(Exception):
            connection.recv()
        assert connection.close_code == 1002
    wait_for(lambda: service.service.telemetry.live == 0)


def test_a_fault_of_our_own_tells_nothing_of_the_inside(denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Service, options: object) -> None:
        raise KeyError("/secret/path")

    with running(denoiser) as service:
        monkeypatch.setattr(Service, "open", broken)
        answer = httpx.post(f"{service.http}/v1/streams", json={})
        assert answer.status_code == 500
        assert "secret" not in answer.text
        told = say(service.socket, START)
        assert told.code == 1011
        assert "secret" not in str(told)
        assert service.service.telemetry.live == 0
