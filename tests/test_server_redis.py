"""REST streams in a real Redis: any worker of any host answers, and what dies in mid-stream is not noticed."""

import asyncio
import itertools
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import from_url
from served import RedisServer, redis_server
from serving import cut, offline, pcm, running, speech, wait_for
from shared_streams import KEY, frames, hot, opened, pair, vanish
from streams import random_denoiser

from gtcrn import Denoiser
from gtcrn_server.settings import Settings
from gtcrn_server.streams.leases import State

needs_redis = pytest.mark.skipif(not shutil.which("redis-server"), reason="needs redis-server")
pytestmark = [pytest.mark.cluster, needs_redis]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        server.settle()
        yield server


def test_a_stream_is_answered_by_whoever_is_asked(denoiser: Denoiser, redis: RedisServer) -> None:
    data = pcm(speech(1))
    with pair(denoiser, redis) as both:
        path = opened(both[0])
        turns = itertools.cycle((both[1], both[0], both[1]))
        output = b"".join(frames(next(turns), path, i, piece).content for i, piece in enumerate(cut(data, (640, 3002))))
        assert httpx.patch(f"{both[1].http}{path}", json={"bypass": True}).json()["bypass"] is True
        state = httpx.get(both[1].http + path).json()
        assert (state["seconds"], state["bypass"]) == (1, True)
        tail = httpx.delete(both[1].http + path)
        for service in both:
            assert httpx.delete(service.http + path).content == tail.content
            assert frames(service, path, 99, b"").status_code == 410
        assert len(hot(both[0])._hot) == len(hot(both[1])._hot) == both[0].service.places.taken == 0
        assert both[1].service.telemetry.shared["forwarded"] > 10
    assert len(output + tail.content) == len(data)
    assert output == offline(denoiser, data)[: len(output)]


def test_a_stream_moves_when_its_host_leaves(denoiser: Denoiser, redis: RedisServer) -> None:
    data = pcm(speech(1))
    with pair(denoiser, redis) as (first, second):
        path = opened(first)
        output = b"".join(frames(first, path, i, piece).content for i, piece in enumerate(cut(data[:16_000], (640,))))
        first.stop()
        first.thread.join(20)
        output += b"".join(frames(second, path, 25 + i, p).content for i, p in enumerate(cut(data[16_000:], (640,))))
        assert second.service.telemetry.shared["taken"] == 1
        assert output + httpx.delete(second.http + path).content == offline(denoiser, data)


def test_what_was_answered_since_the_last_record_is_not_lost(denoiser: Denoiser, redis: RedisServer) -> None:
    """The holder vanishes in mid-stream, after frames, a retry and a change of settings that no record has."""
    data, twin = pcm(speech(1)), denoiser.stream()
    with pair(denoiser, redis, save_seconds=60) as (first, second):
        path = opened(first)
        output = b"".join(frames(first, path, i, piece).content for i, piece in enumerate(cut(data[:16_000], (640,))))
        httpx.patch(first.http + path, json={"attenuation_limit": 6})
        last = frames(first, path, 25, data[16_000:17_000]).content
        vanish(first)
        assert frames(second, path, 25, data[16_000:17_000]).content == last  # not known whether it was answered
        output += last + frames(second, path, 26, data[17_000:]).content + httpx.delete(second.http + path).content
    wanted = twin.push_pcm16(data[:16_000])
    twin.attenuation_limit = 6
    wanted += twin.push_pcm16(data[16_000:]) + twin.flush_pcm16()
    assert output == wanted


def test_a_holder_that_lost_its_stream_does_not_change_it(denoiser: Denoiser, redis: RedisServer) -> None:
    """Two workers that both believe to hold a stream: the later one does, and the other asks it."""
    data = pcm(speech(0.5))
    with pair(denoiser, redis, save_seconds=60) as (first, second):
        path = opened(first)
        output = frames(first, path, 0, data[:8000]).content
        (lost,) = hot(first)._hot.items()
        hot(first)._hot.clear()  # it does not say that the stream is its own,
        output += frames(second, path, 1, data[8000:12_000]).content
        hot(first)._hot.update([lost])  # but believes it
        output += frames(first, path, 2, data[12_000:]).content
        assert first.service.telemetry.shared["lost"] == 1
        assert output + httpx.delete(first.http + path).content == offline(denoiser, data)
        assert first.service.places.taken == second.service.places.taken == 0


def test_streams_of_others_stay_unknown(denoiser: Denoiser, redis: RedisServer) -> None:
    with pair(denoiser, redis, api_keys="one,two") as (first, second):
        mine, theirs = ({"Authorization": f"Bearer {key}"} for key in ("one", "two"))
        path = httpx.post(f"{first.http}/v1/streams", headers=mine).headers["location"]
        for service in (first, second):
            assert httpx.get(service.http + path, headers=theirs).json()["code"] == "unknown_stream"
            assert httpx.get(service.http + path, headers=mine).status_code == 200
        assert httpx.get(f"{second.http}/v1/streams/0-never", headers=mine).status_code == 404


def test_other_weights_do_not_take_a_stream_and_leave_it_to_those_that_can(
    denoiser: Denoiser, redis: RedisServer
) -> None:
    data = pcm(speech(0.5))
    shared: dict[str, Any] = {"redis_url": redis.url, "state_keys": KEY}
    with running(denoiser, **shared) as first:
        path = opened(first)
        output = frames(first, path, 0, data[:8000]).content
    with running(random_denoiser(seed=1), **shared) as other, running(denoiser, **shared) as same:
        told = frames(other, path, 1, data[8000:])
        assert (told.status_code, told.json()["code"]) == (409, "resume")
        assert other.service.places.taken == 0
        output += frames(same, path, 1, data[8000:]).content
        assert output + httpx.delete(same.http + path).content == offline(denoiser, data)


def test_streams_expire_everywhere(denoiser: Denoiser, redis: RedisServer) -> None:
    with pair(denoiser, redis, idle_seconds=1.5) as (first, second):
        path = opened(first)
        wait_for(lambda: first.service.telemetry.live == 0)
        wait_for(lambda: not hot(first)._over)
        assert httpx.get(second.http + path).status_code == 410
        assert second.service.telemetry.opened.total() == 0
        with from_url(redis.url) as client:
            (key,) = client.keys(f"*{path.split('/')[-1]}*")
            assert 0 < client.pttl(key) < 5000  # then Redis forgets it


def test_a_full_host_does_not_take_a_stream(denoiser: Denoiser, redis: RedisServer) -> None:
    with pair(denoiser, redis) as (first, second):
        path = opened(first)
        vanish(first)
        second.service.places.total = 0
        told = frames(second, path, 0, b"\0" * 640)
        assert (told.status_code, told.json()["code"], told.headers["retry-after"]) == (503, "busy", "5")
        second.service.places.total = 10
        assert frames(second, path, 0, b"\0" * 640).status_code == 200


@pytest.mark.parametrize("keeps", [False, True])
def test_redis_is_killed_and_comes_back_in_mid_stream(denoiser: Denoiser, tmp_path: Path, keeps: bool) -> None:
    """Whether it comes back empty or with what it had a second before."""
    data, silence = pcm(speech(2)), b"\0" * 640
    pieces = cut(data, (640,))
    with redis_server(tmp_path if keeps else None) as redis, pair(denoiser, redis) as (first, second):
        path, idle = opened(first), opened(first)
        output = b"".join(frames(first, path, i, piece).content for i, piece in enumerate(pieces[:30]))
        redis.kill()
        output += b"".join(frames(first, path, i, piece).content for i, piece in enumerate(pieces[30:60], 30))
        for told in (frames(second, path, 60, pieces[60]), httpx.post(f"{first.http}/v1/streams")):
            assert (told.status_code, told.json()["code"], told.headers["retry-after"]) == (503, "away", "5")
        redis.start()
        output += frames(second, path, 60, pieces[60]).content  # at once: the holder says so first
        assert frames(second, idle, 0, silence).status_code == 200
        wait_for(lambda: not any(leased.adrift for leased in hot(first)._hot.values()))
        redis.settle()
        vanish(first)
        output += b"".join(frames(second, path, i, piece).content for i, piece in enumerate(pieces[61:], 61))
        assert output + httpx.delete(second.http + path).content == offline(denoiser, data)
        assert frames(second, idle, 1, silence).status_code == 200


def test_what_redis_does_late_is_not_applied_twice(denoiser: Denoiser) -> None:
    """It hangs in mid-stream, and does afterwards what it was asked before: a note of frames, and a save."""
    data = pcm(speech(1))
    pieces = cut(data, (640,))
    with redis_server() as redis, pair(denoiser, redis) as (first, second):
        assert redis.process
        path = opened(first)
        output = b"".join(frames(first, path, i, piece).content for i, piece in enumerate(pieces[:20]))
        redis.process.send_signal(signal.SIGSTOP)
        output += b"".join(frames(first, path, i, piece).content for i, piece in enumerate(pieces[20:30], 20))
        redis.process.send_signal(signal.SIGCONT)
        wait_for(lambda: not any(leased.adrift for leased in hot(first)._hot.values()))
        output += frames(first, path, 30, pieces[30]).content
        redis.settle()
        vanish(first)
        output += b"".join(frames(second, path, i, piece).content for i, piece in enumerate(pieces[31:], 31))
        assert output + httpx.delete(second.http + path).content == offline(denoiser, data)


def test_a_note_of_an_earlier_epoch_is_refused(denoiser: Denoiser, redis: RedisServer) -> None:
    with pair(denoiser, redis) as (first, _):
        opened(first)
        (leased,) = hot(first)._hot.values()
        leases, loop = hot(first)._leases, first.server.servers[0].get_loop()

        async def late() -> tuple[State, State]:
            before = leased.epoch
            async with leased.held.lock:
                leased.adrift = True
                await hot(first)._save(leased)
                leased.epoch = before  # as if the answer had not come
                leased.adrift = True
                await hot(first)._save(leased)
            name = leased.held.identity
            return await leases.append(name, before, b"", 1), await leases.renew(name, leased.epoch)

        assert asyncio.run_coroutine_threadsafe(late(), loop).result(5) == (State.LOST, State.DONE)


def test_requests_at_both_hosts_at_once_are_applied_once(denoiser: Denoiser, redis: RedisServer) -> None:
    data = pcm(speech(1))
    with pair(denoiser, redis) as both:
        path, output = opened(both[0]), b""
        with ThreadPoolExecutor(2) as pool:
            for i, piece in enumerate(cut(data, (3200,))):
                got = list(pool.map(frames, both, [path] * 2, [i] * 2, [piece] * 2))
                assert got[0].content == got[1].content
                output += got[0].content
        assert output + httpx.delete(both[1].http + path).content == offline(denoiser, data)


def test_redis_needs_a_secret_that_all_hosts_know() -> None:
    with pytest.raises(ValueError, match="GTCRN_STATE_KEYS"):
        Settings(redis_url="redis://127.0.0.1")
    with pytest.raises(ValueError, match="16 characters"):
        Settings(redis_url="redis://127.0.0.1", state_keys="short")
