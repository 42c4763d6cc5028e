"""REST streams in Redis while it is away, and beside requests that take long."""

import asyncio
import shutil

import httpx
import pytest
from served import redis_server
from serving import offline, pcm, speech, wait_for
from shared_streams import frames, hot, opened, pair

from gtcrn import Denoiser

needs_redis = pytest.mark.skipif(not shutil.which("redis-server"), reason="needs redis-server")
pytestmark = [pytest.mark.cluster, needs_redis]


def test_a_stream_that_ends_while_redis_is_away_is_saved_when_it_is_back(denoiser: Denoiser) -> None:
    data = pcm(speech(0.5))
    with redis_server() as redis, pair(denoiser, redis) as (first, second):
        path = opened(first)
        output = frames(first, path, 0, data).content
        redis.kill()
        tail = httpx.delete(first.http + path).content
        assert output + tail == offline(denoiser, data)
        assert httpx.delete(first.http + path).content == tail
        redis.start()
        wait_for(lambda: not hot(first)._over)
        assert httpx.delete(second.http + path).content == tail
        assert httpx.get(first.http + path).status_code == 410


def test_a_long_request_does_not_keep_other_streams_from_their_leases(denoiser: Denoiser) -> None:
    with redis_server() as redis, pair(denoiser, redis) as (first, _):
        opened(first), opened(first)
        leased = list(hot(first)._hot.values())
        loop = first.server.servers[0].get_loop()
        asyncio.run_coroutine_threadsafe(leased[0].held.lock.acquire(), loop).result(5)
        before = max(each.renewed for each in leased)
        wait_for(lambda: all(each.renewed > before for each in leased))
        loop.call_soon_threadsafe(leased[0].held.lock.release)


def test_a_host_that_leaves_does_not_wait_for_redis_once_a_stream(denoiser: Denoiser) -> None:
    with redis_server() as redis, pair(denoiser, redis) as (first, _):
        for _ in range(3):
            opened(first)
        streams, loop = hot(first), first.server.servers[0].get_loop()
        loop.call_soon_threadsafe(streams._keeping.cancel)
        redis.kill()
        first.service.leaving = True
        before = streams._events["away"]
        asyncio.run_coroutine_threadsafe(streams.leave(), loop).result(10)
        assert streams._events["away"] == before + 1
        assert len(streams._hot) == 3
