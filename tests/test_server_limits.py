"""What the service refuses and ends: malformed talk, floods, silence, slow readers, wrong keys and pages."""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from serving import (
    END,
    START,
    Answer,
    Running,
    cut,
    offline,
    pcm,
    receive_all,
    running,
    say,
    send_all,
    speech,
    talk,
    wait_for,
)
from streams import random_denoiser
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_now
from websockets.typing import Subprotocol

from gtcrn import Denoiser
from gtcrn_server.load.client import frame
from gtcrn_server.load.generator import resident_bytes
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


def test_full_means_1013_and_503_and_the_others_go_on(denoiser: Denoiser) -> None:
    data = pcm(speech(1))
    pieces = cut(data, (640,))

    async def one(port: int) -> Answer:
        async with connect(f"ws://127.0.0.1:{port}/v1/stream") as connection:
            reading = asyncio.ensure_future(receive_all(connection))
            await send_all(connection, [START])
            for piece in pieces:
                await send_all(connection, [piece])
                await asyncio.sleep(0.005)
            await send_all(connection, [END])
            return await reading

    async def overload(port: int) -> list[Answer]:
        first = [asyncio.ensure_future(one(port)) for _ in range(8)]
        await asyncio.sleep(0.1)
        return await asyncio.gather(*first, *[one(port) for _ in range(8)])

    with running(denoiser, max_streams=8) as service:
        answers = asyncio.run(overload(service.port))
        served, refused = answers[:8], answers[8:]
        assert [answer.audio for answer in served] == [offline(denoiser, data)] * 8
        assert {answer.code for answer in refused} == {1013}
        assert {answer.events[0]["code"] for answer in refused} == {"busy"}
        for _ in range(8):
            httpx.post(f"{service.http}/v1/streams", json={})
        answer = httpx.post(f"{service.http}/v1/denoise/pcm", content=b"")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_a_stream_is_admitted_by_what_it_costs(denoiser: Denoiser) -> None:
    """Two channels of 48 kHz weigh two to three streams of 16 kHz, 64 of 192 kHz are too many for anybody."""
    wide = {**START, "channels": 2, "sample_rate": 48_000}
    with running(denoiser, max_streams=5) as service, connect_now(service.socket) as first:
        first.send(json.dumps(wide))
        first.recv()
        assert 2 < service.service.telemetry.weight < 3
        with connect_now(service.socket) as second:
            second.send(json.dumps({**wide, "channels": 1}))
            second.recv()
            assert say(service.socket, wide).events[0]["code"] == "busy"
        too_much = {"channels": 64, "sample_rate": 192_000}
        heavy = say(service.socket, {**START, **too_much})
        assert (heavy.code, heavy.events[0]["code"]) == (1008, "setting")
        assert "64 channels at 192000 Hz weigh" in heavy.events[0]["message"]
        opened = httpx.post(f"{service.http}/v1/streams", json=too_much)
        duplex = httpx.post(f"{service.http}/v1/denoise/pcm", params=too_much, content=b"")
        for answer in (opened, duplex):
            assert (answer.status_code, answer.json()["code"]) == (422, "setting")
        wait_for(lambda: service.service.telemetry.live == 1)
    wait_for(lambda: service.service.telemetry.live == 0)
    assert service.service.telemetry.weight == pytest.approx(0)
    assert service.service.places.taken == 0


def test_a_stream_of_the_wider_network_weighs_more_and_is_served() -> None:
    wide, data = random_denoiser(channels=32), pcm(speech(0.25))
    with running(wide) as service, connect_now(service.socket) as first:
        first.send(json.dumps(START))
        first.recv()
        assert 1.8 < service.service.telemetry.weight < 2
        assert say(service.socket, START, data, END).audio == offline(wide, data)


def test_a_stream_that_never_fits_is_not_told_to_try_again(denoiser: Denoiser) -> None:
    """One channel at 48 kHz weighs more than the whole of a service for one stream."""
    with running(denoiser, max_streams=1) as service:
        answer = say(service.socket, {**START, "sample_rate": 48_000})
        assert (answer.code, answer.events[0]["code"]) == (1008, "setting")
        assert (
            answer.events[0]["message"] == "1 channels at 48000 Hz weigh as much as 1.63 streams, and one may weigh 1."
        )
        assert say(service.socket, START, END).code == 1000


def test_one_key_has_a_part_of_the_streams(denoiser: Denoiser) -> None:
    limits: dict[str, Any] = {"api_keys": ("one", "two"), "max_streams": 3, "max_streams_per_client": 2}
    with running(denoiser, **limits) as service:

        def status(key: str) -> int:
            headers = {"Authorization": f"Bearer {key}"}
            return httpx.post(f"{service.http}/v1/streams", json={}, headers=headers).status_code

        assert [status(key) for key in ("one", "one", "one", "two", "two")] == [201, 201, 503, 201, 503]


def test_one_address_has_a_part_of_the_streams(denoiser: Denoiser) -> None:
    """As a proxy that is trusted tells it; all addresses of an IPv6 network are one."""
    with running(denoiser, max_streams=3, max_streams_per_client=1) as service:

        def status(address: str) -> int:
            headers = {"X-Forwarded-For": address}
            return httpx.post(f"{service.http}/v1/streams", json={}, headers=headers).status_code

        addresses = ("192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::2", "192.0.2.2", "192.0.2.3")
        assert [status(address) for address in addresses] == [201, 503, 201, 503, 201, 503]


def test_a_service_that_is_behind_takes_nothing_new(denoiser: Denoiser) -> None:
    with running(denoiser, max_queue_ms=100) as service:
        service.service.telemetry.lag = 1e6
        answer = httpx.post(f"{service.http}/v1/streams", json={})
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")


def test_streams_that_wait_for_a_busy_service_are_told_once_and_go_on(denoiser: Denoiser) -> None:
    data = pcm(speech(1))

    async def late(service: Service, url: str) -> Answer:
        async with connect(url) as connection:
            reading = asyncio.ensure_future(receive_all(connection))
            await send_all(connection, [START, data[:8000]])
            while not service.telemetry.live_audio.seconds:
                await asyncio.sleep(0.01)
            service.telemetry.lag = 1e6
            for piece in cut(data[8000:], (640,)):
                await send_all(connection, [piece])
                await asyncio.sleep(0.02)
            await send_all(connection, [END])
            return await reading

    with running(denoiser, max_queue_ms=200) as service:
        answer = asyncio.run(late(service.service, service.socket))
        assert [event["type"] for event in answer.events] == ["ready", "overloaded", "done"]
        assert answer.events[1]["behind_ms"] > 200
        assert answer.audio == offline(denoiser, data)
        assert service.service.telemetry.overloads == 1


def test_a_flood_of_connections_leaves_the_running_stream_alone(denoiser: Denoiser) -> None:
    data = pcm(speech(1))

    async def flood(url: str) -> tuple[bytes, set[int | None]]:
        async with connect(url) as connection:
            reading = asyncio.ensure_future(receive_all(connection))
            await send_all(connection, [START, data[:16_000]])
            others = await asyncio.gather(*[talk(url, START) for _ in range(150)])
            await send_all(connection, [data[16_000:], END])
            return (await reading).audio, {other.code for other in others}

    with running(denoiser, max_streams=1) as service:
        audio, codes = asyncio.run(flood(service.socket))
        assert audio == offline(denoiser, data)
        assert codes == {1013}
        assert httpx.get(f"{service.http}/healthz").status_code == 200


def test_who_never_starts_is_closed(denoiser: Denoiser) -> None:
    with running(denoiser, start_seconds=0.2) as service:
        answer = say(service.socket)
        assert (answer.code, answer.events[0]["code"]) == (1008, "timeout")
        assert service.service.telemetry.live == 0


def test_half_open_connections_expire(denoiser: Denoiser) -> None:
    """The client is there for TCP but never says anything again; its place is freed, its tail was sent."""
    with running(denoiser, idle_seconds=0.3) as service:
        answer = say(service.socket, START, pcm(speech(0.1)))
        assert answer.code == 1008
        assert [event["type"] for event in answer.events] == ["ready", "done", "error"]
        assert len(answer.audio) == len(pcm(speech(0.1)))


def test_connections_that_never_ask_are_closed(denoiser: Denoiser) -> None:
    with (
        running(denoiser, start_seconds=0.2) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=10) as silent,
    ):
        silent.sendall(b"GET /healthz HT")
        assert silent.recv(100) == b""


def test_sessions_end_after_their_time(denoiser: Denoiser) -> None:
    async def talkative(url: str) -> Answer:
        async with connect(url) as connection:
            reading = asyncio.ensure_future(receive_all(connection))
            await send_all(connection, [START])
            while not reading.done():
                await send_all(connection, [b"\0" * 640])
                await asyncio.sleep(0.02)
            return await reading

    with running(denoiser, session_seconds=0.4) as service:
        answer = asyncio.run(talkative(service.socket))
        assert answer.code == 1008
        assert answer.events[-1]["message"] == "A stream may last 0.4 s."


def test_a_slow_reader_is_dropped_and_memory_does_not_grow(denoiser: Denoiser) -> None:
    """It sends for as long as it can and never reads."""
    block = pcm(speech(4))
    flood = (b"\x82\xff" + len(block).to_bytes(8) + b"\0\0\0\0" + block) * 1000  # 128 MB; the sockets hold a few
    with running(denoiser, slow_reader_seconds=0.5, max_message_bytes=200_000) as service:
        before = resident_bytes(os.getpid())
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
            connection.sendall(
                b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            assert b" 101 " in connection.recv(1000)
            connection.sendall(frame(json.dumps(START).encode(), opcode=1))
            with pytest.raises(OSError, match=r"reset|pipe"):  # it is dropped, and does not wait for ever
                connection.sendall(flood)
        wait_for(lambda: service.service.telemetry.live == 0)
        assert resident_bytes(os.getpid()) - before < 60_000_000
        assert service.service.telemetry.rejections["slow_reader"] == 1


def test_keys(denoiser: Denoiser) -> None:
    with running(denoiser, api_keys="one,two") as service:
        url = f"{service.http}/v1/streams"
        without, wrong = httpx.post(url), httpx.post(url, headers={"Authorization": "Bearer three"})
        assert (without.status_code, wrong.status_code) == (401, 401)
        assert without.headers["www-authenticate"] == "Bearer"
        assert httpx.post(url, headers={"Authorization": "Bearer two"}).status_code == 201
        assert httpx.get(f"{service.http}/healthz").status_code == 200
        assert say(service.socket, START, END).code == 1008
        assert say(service.socket, START, END, additional_headers={"Authorization": "Bearer x"}).code == 1008
        assert say(service.socket, START, END, additional_headers={"Authorization": "Bearer one"}).code == 1000
        assert (
            say(service.socket, START, END, subprotocols=[Subprotocol("gtcrn"), Subprotocol("key.wrong")]).code == 1008
        )
        with connect_now(service.socket, subprotocols=[Subprotocol("gtcrn"), Subprotocol("key.two")]) as connection:
            assert connection.subprotocol == "gtcrn"
            connection.send(json.dumps(START))
            assert json.loads(connection.recv())["type"] == "ready"


@pytest.mark.parametrize(
    ("origin", "allowed", "welcome"),
    [
        ("same", "", True),
        ("https://elsewhere.example", "", False),
        ("https://elsewhere.example", "https://elsewhere.example", True),
        ("https://elsewhere.example", "*", True),
        ("null", "https://elsewhere.example", False),
    ],
)
def test_origins_of_pages(denoiser: Denoiser, origin: str, allowed: str, welcome: bool) -> None:
    with running(denoiser, allowed_origins=allowed) as service:
        headers = {"Origin": service.http if origin == "same" else origin}
        if welcome:
            assert say(service.socket, START, END, additional_headers=headers).code == 1000
        else:
            with pytest.raises(InvalidStatus, match="403"):
                say(service.socket, START, END, additional_headers=headers)
        cors = httpx.get(f"{service.http}/v1/info", headers=headers).headers.get("access-control-allow-origin")
        assert (cors is not None) == (welcome and origin != "same")


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
