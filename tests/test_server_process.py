"""`gtcrn serve` as a process: SIGTERM, several workers, what it says about settings that make no sense."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from networks import random_network
from serving import END, START, Answer, cut, offline, pcm, receive_all, send_all, speech, wait_for
from websockets.asyncio.client import connect

from gtcrn import Denoiser, checkpoint
from gtcrn.cli import app as cli


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    checkpoint.write(path, checkpoint.from_model(random_network()))
    return path


@dataclass
class Serving:
    """`gtcrn serve` with its address."""

    process: subprocess.Popen[str]
    http: str

    @property
    def socket(self) -> str:
        return self.http.replace("http", "ws") + "/v1/stream"


@contextlib.contextmanager
def serving(weights: Path, *arguments: str, **settings: object) -> Iterator[Serving]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GTCRN_")}
    environment |= {f"GTCRN_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "gtcrn", "serve", "--port", "0", "--weights", str(weights), *arguments],
        env={"GTCRN_MAX_QUEUE_MS": "60000", **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, "the service does not say where it is"
        yield Serving(process, found[0])
    finally:
        process.terminate()
        process.wait(20)


async def paced(url: str, data: bytes, pause: float) -> Answer:
    """A stream that takes its time."""
    async with connect(url) as connection:
        reading = asyncio.ensure_future(receive_all(connection))
        await send_all(connection, [START])
        for piece in cut(data, (640,)):
            if reading.done():
                break
            await send_all(connection, [piece])
            await asyncio.sleep(pause)
        await send_all(connection, [END])
        return await reading


def ready(url: str) -> int | None:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/readyz").status_code
    return None


async def streams_begun(service: Serving, count: int) -> None:
    """Wait until so many streams have been accepted."""
    while True:
        text = (await asyncio.to_thread(httpx.get, f"{service.http}/metrics")).text
        found = re.search(r"^gtcrn_streams_total(?:{.*})? ([\d.]+)", text, re.MULTILINE)
        if found and float(found[1]) >= count:
            return
        await asyncio.sleep(0.02)


def test_sigterm_under_load_loses_no_sample_of_a_finishing_stream(weights: Path, denoiser: Denoiser):
    recordings = [pcm(speech(0.6 + i / 20, seed=i)) for i in range(12)]

    async def under_load(service: Serving) -> tuple[list[Answer], Answer]:
        streams = [asyncio.ensure_future(paced(service.socket, data, 0.015)) for data in recordings]
        await streams_begun(service, len(recordings))
        service.process.send_signal(signal.SIGTERM)
        while await asyncio.to_thread(ready, service.http) == 200:
            await asyncio.sleep(0.02)
        late = await paced(service.socket, recordings[0], 0)
        return await asyncio.gather(*streams), late

    with serving(weights, drain_seconds=20) as service:
        answers, late = asyncio.run(under_load(service))
        assert [answer.audio for answer in answers] == [offline(denoiser, data) for data in recordings]
        assert {answer.code for answer in answers} == {1000}
        assert (late.code, late.events[0]["code"]) == (1001, "leaving")
        service.process.wait(20)


def test_who_does_not_finish_in_time_gets_its_tail_and_1001(weights: Path, denoiser: Denoiser):
    data = pcm(speech(30))

    async def cut_short(service: Serving) -> Answer:
        stream = asyncio.ensure_future(paced(service.socket, data, 0.01))
        await streams_begun(service, 1)
        service.process.send_signal(signal.SIGTERM)
        return await stream

    with serving(weights, drain_seconds=0.3) as service:
        answer = asyncio.run(cut_short(service))
        done = answer.events[-2]
        assert [event["type"] for event in answer.events] == ["ready", "done", "error"]
        assert answer.code == 1001
        assert answer.audio == offline(denoiser, data[: round(done["seconds"] * 32_000)])
        service.process.wait(20)


def test_workers_share_a_port_and_find_each_others_streams(weights: Path, denoiser: Denoiser):
    data = pcm(speech(0.5))
    with serving(weights, "--workers", "2") as service:
        wait_for(lambda: ready(service.http) == 200)
        owners = set()
        for _ in range(30):
            path = httpx.post(f"{service.http}/v1/streams").headers["location"]
            owners.add(path.split("/")[-1].split("-")[0])
            output = b""
            for i, piece in enumerate(cut(data, (8000,))):  # each on a connection of its own, to any worker
                answer = httpx.post(f"{service.http}{path}/frames", params={"sequence": i}, content=piece)
                output += answer.content
            output += httpx.delete(service.http + path).content
            assert output == offline(denoiser, data)
            if owners == {"0", "1"}:
                break
        assert owners == {"0", "1"}
        opened = re.findall(r'gtcrn_streams_total\{transport="rest",worker="(\d)"\}', metrics(service))
        assert sorted(opened) == ["0", "1"]


def metrics(service: Serving) -> str:
    return httpx.get(f"{service.http}/metrics").text


def test_a_worker_that_dies_is_replaced(weights: Path):
    with serving(weights, "--workers", "2") as service:
        wait_for(lambda: ready(service.http) == 200)
        children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
        workers = [int(pid) for pid in children.read_text().split() if b"spawn_main" in command_line(pid)]
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        wait_for(lambda: ready(service.http) == 200)


def command_line(pid: str) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize(("setting", "value"), [("GTCRN_MAX_STREAMS", "many"), ("GTCRN_PORT", "70000")])
def test_bad_settings_are_told_in_one_line(
    setting: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("GTCRN_SHARED", raising=False)  # of these tests, no setting
    monkeypatch.setenv(setting, value)
    assert cli.run(["serve"]) == 2
    told = capsys.readouterr().err
    assert setting in told
    assert len(told.splitlines()) == 1


def test_help_shows_every_setting(capsys: pytest.CaptureFixture[str]):
    cli.run(["serve", "--help"])
    told = capsys.readouterr().out
    assert "--workers" in told
    assert "GTCRN_MAX_AUDIO_SECONDS=7200" in told
