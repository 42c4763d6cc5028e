"""Several hosts behind nginx: what clients notice when one of them leaves, dies or is put in again."""

import asyncio
import contextlib
import re
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import Serving, free_port, nginx, random_weights, ready, redis_server, serving, upstream
from serving import cut, example, offline, pcm, speech, wait_for

import gtcrn_server
from gtcrn import Denoiser

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(not shutil.which("nginx"), reason="needs nginx")]
needs_redis = pytest.mark.skipif(not shutil.which("redis-server"), reason="needs redis-server")
SERVER = Path(gtcrn_server.__file__).parent
KEY = "a secret that all hosts know"


@dataclass
class Hosts:
    """Services behind one nginx."""

    port: int
    weights: Path
    settings: dict[str, Any]
    each: list[Serving] = field(default_factory=list)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def start(self, port: int = 0) -> None:
        """One more; on the port of one that is gone, it takes its place."""
        host = self.stack.enter_context(serving(self.weights, "--port", str(port), **self.settings))
        wait_for(lambda: ready(host.http) == 200)
        self.each.append(host)

    def streams(self, transport: str) -> list[int]:
        """How many each host has now, None for those that are gone."""
        return [active(host.http, transport) for host in self.each]


def active(url: str, transport: str) -> int:
    text = httpx.get(f"{url}/metrics").text
    found = re.findall(rf'^gtcrn_active_streams{{transport="{transport}".*}} ([\d.]+)', text, re.MULTILINE)
    return int(sum(map(float, found)))


@contextlib.contextmanager
def hosts(folder: Path, **settings: Any) -> Iterator[Hosts]:
    """Two hosts behind the nginx.conf of server/deploy, without its TLS."""
    settings = {"state_keys": KEY, "drain_seconds": 10, **settings}
    group = Hosts(free_port(), random_weights(folder), settings)
    with group.stack:
        group.start()
        group.start()
        text = upstream((SERVER / "deploy" / "nginx.conf").read_text(), group.each)
        text = re.sub(r"^ *ssl_.*$", "", text.replace("listen 443 ssl", f"listen 127.0.0.1:{group.port}"), flags=re.M)
        with nginx(folder, text, group.port):
            yield group


async def paced(data: bytes) -> AsyncIterator[bytes]:
    """20 ms each 20 ms."""
    for piece in cut(data, (640,)):
        yield piece
        await asyncio.sleep(0.02)


@dataclass
class Run:
    """A client's recording, and what became of it."""

    data: bytes
    client: Any
    audio: bytes = b""

    async def __call__(self) -> None:
        async for audio in self.client.run(paced(self.data)):
            self.audio += audio


def clients(group: Hosts, count: int, seconds: float) -> list[Run]:
    url = f"ws://127.0.0.1:{group.port}/v1/stream"
    reconnecting = example("reconnecting").Reconnecting
    return [Run(pcm(speech(seconds, seed=i)), reconnecting(url, 1.0)) for i in range(count)]


def test_websocket_streams_survive_a_rolling_restart_and_lose_nothing(tmp_path: Path, denoiser: Denoiser) -> None:
    async def restarted(group: Hosts, runs: list[Run]) -> None:
        streaming = asyncio.gather(*(run() for run in runs))
        await asyncio.to_thread(wait_for, lambda: group.streams("websocket") == [3, 3])  # least connections
        for host in list(group.each):
            host.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(host.process.wait, 5)  # less than the drain: nobody is waited for
            group.each.remove(host)
            await asyncio.to_thread(wait_for, lambda: group.streams("websocket") != [0], 20)
            await asyncio.to_thread(group.start, int(host.http.rpartition(":")[2]))
        await streaming

    with hosts(tmp_path) as group:
        runs = clients(group, 6, 12.0)
        asyncio.run(restarted(group, runs))
    assert [run.audio == offline(denoiser, run.data) for run in runs] == [True] * 6
    assert all(run.client.connections >= 2 for run in runs)


def test_websocket_streams_survive_a_host_that_is_killed(tmp_path: Path, denoiser: Denoiser) -> None:
    async def bereaved(group: Hosts, runs: list[Run]) -> None:
        streaming = asyncio.gather(*(run() for run in runs))
        await asyncio.to_thread(wait_for, lambda: group.streams("websocket") == [3, 3])
        await asyncio.sleep(1.5)
        group.each[0].kill()
        await streaming

    with hosts(tmp_path) as group:
        runs = clients(group, 6, 5.0)
        asyncio.run(bereaved(group, runs))
    assert [run.audio == offline(denoiser, run.data) for run in runs] == [True] * 6
    assert sorted(run.client.connections for run in runs) == [1, 1, 1, 2, 2, 2]


def test_who_is_over_its_own_limit_leaves_the_hosts_to_others(tmp_path: Path) -> None:
    with hosts(tmp_path, max_streams_per_client=1) as group:

        def status(address: str) -> int:
            transport = httpx.HTTPTransport(local_address=address)
            with httpx.Client(transport=transport, base_url=f"http://127.0.0.1:{group.port}") as client:
                return client.post("/v1/streams", json={}).status_code

        assert [status("127.0.0.2") for _ in range(4)] == [201, 201, 503, 503]
        assert [status(address) for address in ("127.0.0.3", "127.0.0.4")] == [201, 201]


async def answered(client: httpx.AsyncClient, path: str, place: int, piece: bytes) -> bytes:
    """Asked again where the host died within its answer, which nginx cannot take back: the number is applied once."""
    request = client.build_request("POST", path, params={"sequence": place}, content=piece)
    try:
        answer = await client.send(request)
    except httpx.RemoteProtocolError:
        answer = await client.send(request)
    return answer.raise_for_status().content


async def rest(url: str, data: bytes) -> bytes:
    """A REST stream in real time over one connection, which nginx spreads over the hosts; any refusal is an error."""
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        path = (await client.post("/v1/streams")).raise_for_status().headers["location"]
        output, place = b"", 0
        async for piece in paced(data):
            output += await answered(client, f"{path}/frames", place, piece)
            place += 1
        return output + (await client.delete(path)).raise_for_status().content


@needs_redis
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_rest_clients_do_not_notice_a_host_that_goes(tmp_path: Path, denoiser: Denoiser, number: int) -> None:
    """Under load, with WebSocket clients beside them, which resume."""
    recordings = [pcm(speech(5, seed=i)) for i in range(6)]

    async def loaded(group: Hosts, runs: list[Run]) -> list[bytes]:
        url = f"http://127.0.0.1:{group.port}"
        streaming = asyncio.gather(*(rest(url, data) for data in recordings), *(run() for run in runs))
        await asyncio.sleep(2.5)
        assert min(await asyncio.to_thread(group.streams, "rest")) > 0
        group.each[0].process.send_signal(number)
        return [audio for audio in await streaming if audio is not None]

    with redis_server() as redis:
        redis.settle()
        with hosts(tmp_path, redis_url=redis.url) as group:
            runs = clients(group, 4, 5.0)
            got = asyncio.run(loaded(group, runs))
            events = httpx.get(f"{group.each[1].http}/metrics").text
    assert [audio == offline(denoiser, data) for audio, data in zip(got, recordings, strict=True)] == [True] * 6
    assert [run.audio == offline(denoiser, run.data) for run in runs] == [True] * 4
    for event in ("forwarded", "taken"):
        assert re.search(rf'^gtcrn_shared_streams_total{{event="{event}".*}} [1-9]', events, re.MULTILINE)


@needs_redis
def test_workers_of_one_host_share_streams_too(tmp_path: Path, denoiser: Denoiser) -> None:
    data = pcm(speech(0.5))
    with (
        redis_server() as redis,
        serving(random_weights(tmp_path), "--workers", "2", redis_url=redis.url, state_keys=KEY) as service,
    ):
        wait_for(lambda: ready(service.http) == 200)
        path, output = httpx.post(f"{service.http}/v1/streams").headers["location"], b""
        for i, piece in enumerate(cut(data, (640,))):  # each on a connection of its own, to any worker
            answer = httpx.post(f"{service.http}{path}/frames", params={"sequence": i}, content=piece)
            output += answer.raise_for_status().content
        assert output + httpx.delete(service.http + path).content == offline(denoiser, data)
        told = httpx.get(f"{service.http}/metrics").text
        assert re.search(r'^gtcrn_shared_streams_total{event="forwarded".*} [1-9]', told, re.MULTILINE)
