"""REST streams: frames in, frames out, retries, settings, expiry; and what the service tells about itself."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving import Running, cut, offline, pcm, running, say, settings, speech, wait_for

from gtcrn import Denoiser
from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.messages import Options
from gtcrn_server.service import Service
from gtcrn_server.streams.held import Held
from gtcrn_server.streams.memory import REMEMBERED, MemoryStreams


@pytest.fixture(scope="module")
def service(denoiser: Denoiser) -> Iterator[Running]:
    with running(denoiser, max_message_bytes=20_000) as instance:
        yield instance


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.http) as client:
        yield client


def opened(client: httpx.Client, **options: object) -> str:
    """The path of a new stream."""
    answer = client.post("/v1/streams", json=options)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/streams/{answer.json()['id']}"
    return answer.headers["location"]


def frames(client: httpx.Client, path: str, sequence: int, data: bytes) -> httpx.Response:
    return client.post(f"{path}/frames", params={"sequence": sequence}, content=data)


def held_by(service: Running, path: str) -> Held:
    streams = service.service.streams
    assert isinstance(streams, MemoryStreams)
    return streams.get(path.split("/")[-1], "")


def test_frames_equal_offline(client: httpx.Client, denoiser: Denoiser) -> None:
    data = pcm(speech(1.5))
    path = opened(client)
    output = [frames(client, path, i, piece).content for i, piece in enumerate(cut(data, (640, 6002)))]
    output.append(client.delete(path).content)
    assert b"".join(output) == offline(denoiser, data)


def test_a_retry_is_answered_once_more_and_not_applied_twice(client: httpx.Client, denoiser: Denoiser) -> None:
    data = pcm(speech(0.5))
    path = opened(client)
    first = frames(client, path, 0, data[:8000]).content
    assert frames(client, path, 0, data[:8000]).content == first
    second = frames(client, path, 1, data[8000:]).content
    tail = client.delete(path).content
    assert client.delete(path).content == tail
    assert first + second + tail == offline(denoiser, data)


def test_a_gap_in_the_sequence_is_refused_and_told(client: httpx.Client) -> None:
    path = opened(client)
    frames(client, path, 0, b"\0" * 640)
    answer = frames(client, path, 2, b"\0" * 640)
    assert answer.status_code == 409
    assert "waits for sequence 1" in answer.json()["message"]
    assert client.get(path).json()["sequence"] == 1


def test_half_a_sample_is_refused_and_nothing_applied(client: httpx.Client, denoiser: Denoiser) -> None:
    data = pcm(speech(0.3))
    path = opened(client)
    assert frames(client, path, 0, data[:641]).status_code == 400
    output = frames(client, path, 0, data).content + client.delete(path).content
    assert output == offline(denoiser, data)


def test_highs_are_kept_where_that_is_asked_for(client: httpx.Client, denoiser: Denoiser) -> None:
    data = pcm(speech(0.4))
    opening = {"sample_rate": 48_000, "keep_highs": True}
    path = opened(client, **opening)
    assert client.get(path).json()["keep_highs"] is True
    output = frames(client, path, 0, data).content + client.delete(path).content
    assert output == offline(denoiser, data, **opening) != offline(denoiser, data, 48_000)
    path = opened(client, sample_rate=48_000)
    assert client.patch(path, json={"keep_highs": True}).json()["keep_highs"] is True
    assert frames(client, path, 0, data).content + client.delete(path).content == output
    assert client.post("/v1/denoise/pcm", params=opening, content=data).content == output


def test_patch_changes_settings(client: httpx.Client, denoiser: Denoiser) -> None:
    data = pcm(speech(0.4))
    path = opened(client)
    state = client.patch(path, json={"attenuation_limit": 6.0}).json()
    assert (state["attenuation_limit"], state["bypass"]) == (6.0, False)
    output = frames(client, path, 0, data).content + client.delete(path).content
    # the change fades in over the first 16 ms
    assert output[1024:] == offline(denoiser, data, attenuation_limit=6)[1024:]


def test_nonfinite_samples_are_told(client: httpx.Client) -> None:
    path = opened(client, encoding="f32le")
    frames(client, path, 0, b"\xff" * 4000)
    assert client.get(path).json()["nonfinite"] == 1000
    headers = client.delete(path).headers
    assert (headers["gtcrn-nonfinite"], headers["gtcrn-clipped"]) == ("1000", "0")


def test_clipped_samples_are_told(client: httpx.Client, service: Running) -> None:
    path = opened(client)
    live = held_by(service, path).live
    assert live is not None
    loud = {"flush_pcm16": lambda: b"", "clipped": 320, "nonfinite": 0}
    live.stream = SimpleNamespace(**loud, attenuation_limit=None, bypass=False, keep_highs=False)  # type: ignore[assignment]
    frames(client, path, 0, b"\0" * 640)
    assert client.get(path).json()["clipped"] == live.summary().clipped == 320
    assert client.delete(path).headers["gtcrn-clipped"] == "320"


def test_what_is_over_is_gone_and_what_never_was_is_unknown(client: httpx.Client) -> None:
    path = opened(client)
    client.delete(path)
    assert frames(client, path, 0, b"").status_code == 410
    assert client.patch(path, json={}).status_code == 410
    assert client.get("/v1/streams/0-nothing").status_code == 404


def test_too_many_bytes_in_one_request(client: httpx.Client) -> None:
    path = opened(client)
    assert frames(client, path, 0, b"\0" * 20_002).status_code == 413
    assert client.delete(path).content == b""


def test_too_much_json(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b" " * 1000

    headers = {"content-type": "application/json"}
    assert client.post("/v1/streams", content=b" " * 20_001, headers=headers).status_code == 413
    assert client.post("/v1/streams", content=endless(), headers=headers).status_code == 413


def test_idle_streams_expire_and_free_their_place(denoiser: Denoiser) -> None:
    with running(denoiser, idle_seconds=1.5, max_streams=1) as service, httpx.Client(base_url=service.http) as client:
        path = opened(client)
        full = client.post("/v1/streams", json={})
        assert (full.status_code, full.headers["retry-after"]) == (503, "5")
        wait_for(lambda: service.service.telemetry.live == 0)
        assert frames(client, path, 0, b"").status_code == 410
        opened(client)


def test_the_store_forgets_what_is_long_over_and_keeps_what_is_busy(denoiser: Denoiser) -> None:
    async def filled(store: MemoryStreams, service: Service) -> None:
        for i in range(REMEMBERED + 10):
            live = service._live(Options(), stream)
            await store.put(Held(str(i), "", live, service.admit("rest", ""), 0.0, touched=i / 1000))
        await store.get("5", "").lock.acquire()
        store.expire(touched=0.1, opened=-1.0)
        assert service.places.taken == service.telemetry.live == REMEMBERED + 10 - 99
        assert store.get("5", "").state == store.get("100", "").state == "open"
        store.expire(touched=(REMEMBERED + 10) / 1000, opened=-1.0)
        assert store.get(str(REMEMBERED + 9), "").state == "expired"
        with pytest.raises(ServiceError, match="no stream of this id"):
            store.get("0", "")

    stream = denoiser.stream()
    service = Service(settings(max_streams=3000, max_streams_per_client=3000), denoiser)
    asyncio.run(filled(MemoryStreams(), service))


def test_a_stream_of_another_worker_is_told_from_one_that_is_unknown() -> None:
    store = MemoryStreams(worker=1, workers=2)
    for identity, kind in (("0-there", Kind.ELSEWHERE), ("1-here", Kind.UNKNOWN), ("2-none", Kind.UNKNOWN)):
        with pytest.raises(ServiceError) as refusal:
            store.get(identity, "")
        assert refusal.value.kind is kind


def test_requests_about_one_stream_wait_for_each_other(client: httpx.Client, denoiser: Denoiser) -> None:
    data = pcm(speech(0.6))
    path = opened(client)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(frames, client, path, 0, data) for _ in range(4)]
    assert len({answer.result().content for answer in asked}) == 1
    assert asked[0].result().content + client.delete(path).content == offline(denoiser, data)


def test_a_stream_belongs_to_the_key_that_opened_it(denoiser: Denoiser) -> None:
    with running(denoiser, api_keys="one,two") as service:
        mine, theirs = (
            httpx.Client(base_url=service.http, headers={"Authorization": f"Bearer {k}"}) for k in ("one", "two")
        )
        with mine, theirs:
            path = opened(mine)
            refused = [theirs.get(path), theirs.patch(path, json={}), frames(theirs, path, 0, b""), theirs.delete(path)]
            assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(404, "unknown_stream")] * 4
            assert refused[0].json() == theirs.get("/v1/streams/0-never").json()
            assert frames(mine, path, 0, b"\0" * 640).status_code == 200
            assert mine.delete(path).status_code == 200
            assert theirs.delete(path).status_code == 404


def metric(service: Running, name: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels."""
    text = httpx.get(f"{service.http}/metrics").text
    found = [s for family in text_string_to_metric_families(text) for s in family.samples if s.name == name]
    return sum(s.value for s in found if labels.items() <= s.labels.items())


def test_metrics_count_what_happens(denoiser: Denoiser) -> None:
    with running(denoiser) as service:
        data = pcm(speech(1.024))
        say(service.socket, {"type": "start"}, *cut(data, (640,)), {"type": "end"})
        say(service.socket, {"type": "end"})
        assert metric(service, "gtcrn_streams_total", transport="websocket") == 1  # the other one did not begin
        assert metric(service, "gtcrn_active_streams") == 0
        assert metric(service, "gtcrn_frames_total") == 64
        assert metric(service, "gtcrn_audio_seconds_total", kind="live") == pytest.approx(1.024)
        assert metric(service, "gtcrn_bytes_total") == 2 * len(data)
        assert metric(service, "gtcrn_frame_seconds_count") == 64
        assert metric(service, "gtcrn_rejections_total", reason="unexpected") == 1
        assert 0 < metric(service, "gtcrn_real_time_factor") < 10
        wait_for(lambda: metric(service, "gtcrn_queue_delay_seconds_count") > 0)


def test_info_and_health(client: httpx.Client) -> None:
    info = client.get("/v1/info").json()
    assert (info["sample_rate"], info["frame"], info["latency"], info["latency_ms"]) == (16_000, 256, 512, 32.0)
    assert info["max_message_bytes"] == 20_000
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_every_answer_confines_what_a_page_may_do(client: httpx.Client) -> None:
    for path in ("/v1/info", "/nowhere", "/openapi.json"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
