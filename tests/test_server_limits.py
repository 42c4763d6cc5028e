"""How many streams are let in, by what they cost, in all and of one client; a full or late service says so."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from commands import until
from serving import (
    END,
    START,
    Answer,
    cut,
    offline,
    pcm,
    receive_all,
    running,
    say,
    send_all,
    settings,
    speech,
    talk,
    wait_for,
)
from streams import random_denoiser
from websockets.asyncio.client import connect
from websockets.sync.client import connect as connect_now

from gtcrn import Denoiser
from gtcrn_server.errors import ServiceError
from gtcrn_server.service import Service
from gtcrn_server.streams.held import Held
from gtcrn_server.streams.memory import MemoryStreams


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


def test_a_stream_beyond_its_clients_part_is_not_told_to_try_again(denoiser: Denoiser) -> None:
    with running(denoiser, max_streams_per_client=1) as service:
        headers, wide = {"X-Forwarded-For": "192.0.2.1"}, {"sample_rate": 48_000}
        answer = httpx.post(f"{service.http}/v1/streams", json=wide, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "setting")
        assert httpx.post(f"{service.http}/v1/streams", json=wide).status_code == 201  # a proxy's


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


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [
        ("2001:db8::1", "2001:db8::1"),
        ("10.0.0.0/8", "10.1.2.3"),
        ("10.0.0.0/8", "::ffff:10.1.2.3"),
        ("2001:db8::/32", "2001:db8:1::1"),
    ],
)
def test_a_proxy_has_no_part_of_its_own_however_it_was_named(denoiser: Denoiser, trusted: str, peer: str) -> None:
    limits = {"max_connections": 4, "max_connections_per_client": 1, "max_streams": 4, "max_streams_per_client": 1}
    service = Service(settings(trusted_proxies=trusted, **limits), denoiser)
    for places in (service.connections, service.places):
        for _ in range(3):
            places.take(service.client((peer, 5000)))
        places.take(service.client(("2001:db9::1", 5000)))
        places.give(service.client((peer, 5000)))
        with pytest.raises(ServiceError, match="One client may have 1"):
            places.take(service.client(("2001:db9::2", 5000)))


def test_where_all_are_proxies_streams_count_by_the_address_that_is_told(denoiser: Denoiser) -> None:
    limits: dict[str, Any] = {"max_connections_per_client": 1, "max_streams_per_client": 1}
    with running(denoiser, trusted_proxies="*", **limits) as service, httpx.Client(base_url=service.http) as first:

        def status(client: Any, address: str) -> int:
            answer: int = client.post("/v1/streams", json={}, headers={"X-Forwarded-For": address}).status_code
            return answer

        assert status(first, "192.0.2.1") == 201
        with httpx.Client(base_url=service.http) as second:
            assert [status(second, address) for address in ("192.0.2.1", "192.0.2.2")] == [503, 201]


def test_a_proxy_is_believed_by_a_socket_of_ipv6(denoiser: Denoiser) -> None:
    limits: dict[str, Any] = {"host": "::", "allow_anonymous": True, "max_streams_per_client": 1}
    with running(denoiser, trusted_proxies="127.0.0.0/8", **limits) as service:
        for address in ("192.0.2.1", "192.0.2.2"):
            answer = httpx.post(f"{service.http}/v1/streams", json={}, headers={"X-Forwarded-For": address})
            assert answer.status_code == 201
        assert set(service.service.places._held) == {"192.0.2.1", "192.0.2.2"}


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
            await until(lambda: service.telemetry.live_audio.seconds)
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


def test_what_is_over_is_remembered_up_to_its_time_and_bytes() -> None:
    store = MemoryStreams()
    for i in range(5):
        store._bury(Held(str(i), "", None, None, 0.0, touched=10.0 + i, answer=bytes(4_000_000), state="ended"))
    assert list(store._over) == ["1", "2", "3", "4"]
    store.expire(touched=13.0, opened=-1.0)
    assert list(store._over) == ["3", "4"]


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
