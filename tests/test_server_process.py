"""`gtcrn serve` as a process: SIGTERM, and what it says about settings that make no sense, in one line."""

import asyncio
import io
import re
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest
import soundfile
from commands import wait_for
from served import Serving, random_weights, ready, serving
from serving import END, START, Answer, cut, offline, pcm, receive_all, send_all, speech
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

import gtcrn
from gtcrn import Denoiser
from gtcrn.cli import app as cli


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_weights(tmp_path_factory.mktemp("weights"))


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


async def streams_begun(service: Serving, count: int) -> None:
    """Wait until so many streams have been accepted."""

    def begun() -> bool:
        text = httpx.get(f"{service.http}/metrics").text
        found = re.search(r"^gtcrn_streams_total(?:{.*})? ([\d.]+)", text, re.MULTILINE)
        return found is not None and float(found[1]) >= count

    await asyncio.to_thread(wait_for, begun)


def test_sigterm_under_load_loses_no_sample_of_a_finishing_stream(weights: Path, denoiser: Denoiser) -> None:
    recordings = [pcm(speech(0.6 + i / 20, seed=i)) for i in range(12)]

    async def under_load(service: Serving) -> list[Answer]:
        streams = [asyncio.ensure_future(paced(service.socket, data, 0.05)) for data in recordings]
        await streams_begun(service, len(recordings))
        service.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(wait_for, lambda: ready(service.http) != 200)
        with pytest.raises(InvalidStatus, match="503"):
            await paced(service.socket, recordings[0], 0)
        return await asyncio.gather(*streams)

    with serving(weights, drain_seconds=20) as service:
        answers = asyncio.run(under_load(service))
        assert [answer.audio for answer in answers] == [offline(denoiser, data) for data in recordings]
        assert {answer.code for answer in answers} == {1000}
        service.process.wait(20)


def test_who_does_not_finish_in_time_gets_its_tail_and_1001(weights: Path, denoiser: Denoiser) -> None:
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


def test_a_port_of_calls_that_is_taken_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name, value in {"PORT": 0, "AUDIOSOCKET_PORT": port, "AUDIOSOCKET_BOT": "127.0.0.1:1"}.items():
            monkeypatch.setenv(f"GTCRN_{name}", str(value))
        monkeypatch.delenv("GTCRN_SHARED", raising=False)  # of these tests, no setting
        assert cli.run(["serve"]) == 2
    assert capsys.readouterr().err == f"gtcrn: cannot listen on 127.0.0.1 port {port}: Address already in use.\n"


@pytest.mark.parametrize(("setting", "value"), [("GTCRN_MAX_STREAMS", "many"), ("GTCRN_PORT", "70000")])
def test_bad_settings_are_told_in_one_line(
    setting: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GTCRN_SHARED", raising=False)  # of these tests, no setting
    monkeypatch.setenv(setting, value)
    assert cli.run(["serve"]) == 2
    told = capsys.readouterr().err
    assert setting in told
    assert len(told.splitlines()) == 1


def test_redis_without_its_package_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], weights: Path
) -> None:
    monkeypatch.delenv("GTCRN_SHARED", raising=False)
    monkeypatch.setenv("GTCRN_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("GTCRN_STATE_KEYS", "a secret of sixteen or more")
    monkeypatch.setitem(sys.modules, "redis", None)
    assert cli.run(["serve", "--weights", str(weights)]) == 2
    assert "pip install 'gtcrn[redis]'" in capsys.readouterr().err


@pytest.mark.parametrize("told", ["argument", "setting"])
def test_the_large_weights_are_served_by_their_name(told: str) -> None:
    data = pcm(speech(0.5))
    chosen = ("--weights", "large") if told == "argument" else ()
    with serving(None, *chosen, **({} if chosen else {"weights": "large"})) as service:
        answer = httpx.post(f"{service.http}/v1/denoise/pcm", content=data)
    assert answer.content == offline(gtcrn.load("large"), data)


def test_help_shows_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["serve", "--help"])
    told = capsys.readouterr().out
    assert "--workers" in told
    assert "GTCRN_MAX_AUDIO_SECONDS=7200" in told


def test_words_of_libmpg123_never_reach_the_log(weights: Path) -> None:
    file = io.BytesIO()
    soundfile.write(file, speech(4.0)[0], 16_000, format="MP3")
    data = file.getvalue()[:-3_000]  # over whose header it has something to say
    for workers in ("1", "2"):
        with serving(weights, "--workers", workers) as service:
            answer = httpx.post(f"{service.http}/v1/denoise", content=data, timeout=60)
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "audio/wav"
            service.process.terminate()
            service.process.wait(30)
            assert service.process.stderr is not None
            assert service.process.stderr.read() == ""
