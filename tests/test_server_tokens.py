"""Tokens: a WebSocket stream goes on at another service, sample by sample, and nobody else's does."""

import asyncio
import base64
import json
from collections.abc import MutableMapping
from time import monotonic
from typing import Any

import pytest
from commands import until
from pydantic import BaseModel
from serving import END, START, Answer, Running, cut, offline, pcm, receive_all, running, say, settings, speech
from streams import random_denoiser
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gtcrn import Denoiser
from gtcrn_server.errors import ServiceError
from gtcrn_server.messages import Options
from gtcrn_server.service import Service
from gtcrn_server.streams.saved import FORMAT, Saved, seal, unseal
from gtcrn_server.streams.tokens import read, token
from gtcrn_server.transports.direct import Direct
from gtcrn_server.transports.websocket import Conversation

KEYS = "first secret of sixteen, second secret of sixteen"
ASKING = {**START, "tokens": 60}


async def until_it_leaves(service: Running, messages: list[bytes], **start: Any) -> Answer:
    """What a client gets that sends all this and stays when the service ends."""
    async with connect(service.socket) as connection:
        await connection.send(json.dumps({**ASKING, **start}))
        for message in messages:
            await connection.send(message)
        reading = asyncio.ensure_future(receive_all(connection))
        await until(lambda: service.service.telemetry.live_audio.bytes_in >= sum(map(len, messages)))
        service.stop()
        return await reading


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (16_000, 2), (48_000, 1)])
def test_a_stream_goes_on_elsewhere(denoiser: Denoiser, rate: int, channels: int) -> None:
    data = pcm(speech(1, sample_rate=rate, channels=channels))
    pieces, width = cut(data, (640, 1000 * channels, 8000)), 2 * channels
    form = {"sample_rate": rate, "channels": channels}
    with running(denoiser, state_keys=KEYS) as service:
        left = asyncio.run(until_it_leaves(service, pieces[:9], **form))
    last, error = left.events[-2:]
    assert (last["type"], error["code"], left.code) == ("token", "leaving", 1001)
    assert last["received"] * width == sum(map(len, pieces[:9]))
    assert last["sent"] * width == len(left.audio)
    rotated = ", ".join(reversed(KEYS.split(", ")))
    with running(denoiser, state_keys=rotated) as other:
        rest = say(other.socket, {**START, "resume": last["token"]}, *pieces[9:], END)
    assert [rest.events[0][name] for name in ("received", "sent")] == [last["received"], last["sent"]]
    assert left.audio + rest.audio == offline(denoiser, data, rate, channels)
    assert rest.events[-1]["seconds"] == 1


def test_what_was_set_and_counted_goes_along(denoiser: Denoiser) -> None:
    async def changed(service: Running) -> dict[str, Any]:
        async with connect(service.socket) as connection:
            for message in (
                {**ASKING, "encoding": "f32le"},
                {"type": "set", "bypass": True},
                {"type": "mark", "id": 0},
            ):
                await connection.send(json.dumps(message))
            await connection.send(b"\xff" * 4000)
            await until(lambda: service.service.telemetry.live_audio.bytes_in >= 4000)
            service.stop()
            return (await receive_all(connection)).events[-2]

    with running(denoiser, state_keys=KEYS) as service:
        last = asyncio.run(changed(service))
    with running(denoiser, state_keys=KEYS) as other:
        data = pcm(speech(0.5), "f32le")
        rest = say(other.socket, {**START, "resume": last["token"]}, data, END)
        assert rest.events[0]["encoding"] == "f32le"
        assert rest.audio[-16_000:] == data[-16_000:]
        assert rest.events[-1]["nonfinite"] == 1000


def test_a_token_comes_every_so_many_seconds(denoiser: Denoiser) -> None:
    data = pcm(speech(0.4))

    async def listening(service: Running) -> list[dict[str, Any]]:
        async with connect(service.socket) as connection:
            await connection.send(json.dumps(ASKING))
            events = [json.loads(await connection.recv())]
            for i, piece in enumerate(cut(data, (len(data) // 2,))):
                next(iter(service.service.sessions)).remind(monotonic() + 61 * (i + 1))
                await connection.send(piece)
                while not isinstance(message := await connection.recv(), str):
                    pass
                events.append(json.loads(message))
            return events

    with running(denoiser) as service:
        ready, first, second = asyncio.run(listening(service))
        assert (ready["received"], ready["sent"]) == (0, 0)
        assert (first["type"], first["received"], second["received"]) == ("token", 3200, 6400)
        half = say(service.socket, {**START, "resume": first["token"]}, data[6400:], END)
        assert half.audio == offline(denoiser, data)[2 * first["sent"] :]
        again = say(service.socket, {**START, "resume": first["token"]}, data[6400:], END)
        assert again.audio == half.audio


def refused(service: Running, text: str, **start: object) -> str:
    """Why a token is not taken."""
    answer = say(service.socket, {**START, "resume": text, **start})
    assert (answer.code, answer.events[-1]["code"]) == (1008, "resume")
    message: str = answer.events[-1]["message"]
    return message


def made(denoiser: Denoiser, owner: str = "", **changes: Any) -> str:
    """A token of a stream that has heard a second."""
    service = Service(settings(state_keys=KEYS, **changes), denoiser)
    live = service._live(Options(), denoiser.stream())
    live.push(pcm(speech(0.05)))
    return token(service, live, owner).token


def test_tokens_of_others_are_refused_with_a_sentence(denoiser: Denoiser) -> None:
    text = made(denoiser)
    damaged = base64.b64encode(base64.b64decode(text)[:-1] + b"?").decode()
    elsewhere = made(denoiser).replace("A", "B")
    other_format = base64.b64encode(
        seal_as(b"gtcrn-stream-2\n", base64.b64decode(text), Service(settings(state_keys=KEYS), denoiser).state_keys)
    ).decode()
    with running(denoiser, state_keys=KEYS) as service:
        for bad in (damaged, elsewhere, "AAAA"):
            assert "damaged, or was not signed" in refused(service, bad)
        assert "no base64" in refused(service, "?")
        assert "another version" in refused(service, other_format)
        assert "another key" in refused(service, made(denoiser, owner="somebody"))
    with running(random_denoiser(seed=1), state_keys=KEYS) as service:
        assert "with weights" in refused(service, text)
    with running(denoiser) as service:
        assert "not signed by this service" in refused(service, text)


def seal_as(form: bytes, sealed: bytes, keys: tuple[bytes, ...]) -> bytes:
    """The same bytes under another format's name, rightly signed."""
    from gtcrn import snapshot

    return snapshot.sign(snapshot.verify(sealed, keys[0]).replace(FORMAT, form, 1), keys[0])


def test_an_old_token_is_refused(denoiser: Denoiser) -> None:
    service = Service(settings(state_keys=KEYS, token_seconds=10), denoiser)
    live = service._live(Options(), denoiser.stream())
    head, snapshot = live.saved("")
    for age, told in ((9, None), (11, "11 s old, and 10 s are the most")):
        old = head.model_copy(update={"at": head.at - age})
        text = base64.b64encode(seal(old, snapshot, service.state_keys)).decode()
        if told is None:
            assert read(service, text, "")[0].received == 0
            continue
        with pytest.raises(ServiceError, match=told):
            read(service, text, "")


def test_a_start_that_cannot_be(denoiser: Denoiser) -> None:
    with running(denoiser, state_keys=KEYS) as service:
        both = say(service.socket, {**START, "resume": made(denoiser), "sample_rate": 48_000})
        assert (both.code, "has the options it was opened with" in both.events[0]["message"]) == (1007, True)
        wide = say(service.socket, {**ASKING, "channels": 8})
        assert (wide.code, wide.events[0]["code"]) == (1008, "setting")
        assert "A token of this stream has" in wide.events[0]["message"]


def test_audio_that_a_slow_client_did_not_take_comes_before_the_token(denoiser: Denoiser) -> None:
    """The service ends the stream while it waits to send."""
    data = pcm(speech(0.2))
    sent: list[dict[str, Any]] = []

    async def conversation() -> None:
        service, blocked, incoming = Service(settings(), denoiser), asyncio.Event(), asyncio.Queue[dict[str, Any]]()

        async def send(event: MutableMapping[str, Any]) -> None:
            if "bytes" in event and not blocked.is_set():
                blocked.set()
                await asyncio.Event().wait()
            sent.append(dict(event))

        incoming.put_nowait({"type": "websocket.receive", "text": json.dumps(ASKING)})
        incoming.put_nowait({"type": "websocket.receive", "bytes": data})
        task = asyncio.ensure_future(Conversation(service, incoming.get, send, Direct()).run([], "", []))
        await blocked.wait()
        await service.drain(lambda: True)
        await task

    asyncio.run(conversation())
    audio = b"".join(event["bytes"] for event in sent if "bytes" in event)
    told = [json.loads(event["text"]) for event in sent if "text" in event]
    assert told[-2]["sent"] * 2 == len(audio) > 0
    assert audio == offline(denoiser, data)[: len(audio)]


def test_who_comes_to_a_service_that_leaves_is_sent_to_another(denoiser: Denoiser) -> None:
    with running(denoiser) as service:
        service.service.leaving = True
        with pytest.raises(InvalidStatus) as refusal:
            say(service.socket, START)
        assert (refusal.value.response.status_code, refusal.value.response.headers["retry-after"]) == (503, "5")


def test_the_head_of_a_saved_stream_is_read_as_written(denoiser: Denoiser) -> None:
    service = Service(settings(), denoiser)
    live = service._live(Options(sample_rate=48_000, attenuation_limit=12), denoiser.stream(48_000))
    head, _ = live.saved("me")
    assert Saved.model_validate_json(head.model_dump_json()) == head


def test_a_saved_stream_of_a_version_that_tells_less_is_refused_in_a_sentence() -> None:
    class Later(BaseModel):
        owner: str

    with pytest.raises(ServiceError, match="it was made by another version of the service"):
        unseal(Saved, seal(Later(owner="me"), b"", (b"key",)), (b"key",))
