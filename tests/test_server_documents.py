"""PROTOCOL.md and README.md of the service hold as written."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from pydantic import BaseModel
from serving import Running, offline, pcm, say, speech
from websockets.sync.server import serve

import gtcrn_server
from gtcrn import Denoiser
from gtcrn_server.errors import Kind
from gtcrn_server.messages import Done, Error, Levels, Marked, Overloaded, Ready, Token, parse
from gtcrn_server.settings import Settings

FOLDER = Path(gtcrn_server.__file__).parent
PROTOCOL = (FOLDER / "PROTOCOL.md").read_text()
README = (FOLDER / "README.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def messages(block: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in block.splitlines()]


def test_a_client_that_sends_every_message_of_the_protocol_page(service: Running) -> None:
    start, others, answers = map(messages, blocks(PROTOCOL, "json"))
    answer = say(service.socket, *start, pcm(speech(1)), *others)
    assert answer.code == 1000
    assert [event["type"] for event in answer.events] == ["ready", "mark", "done"]
    shown = {message["type"]: message for message in answers}
    for event in answer.events:
        assert event.keys() == shown[event["type"]].keys()
    told = say(service.socket, *start, {"type": "set", "attenuation_limit": -1}, {"type": "end"})
    assert told.events[1] == shown["error"]


def test_the_metrics_are_those_that_the_page_names(service: Running) -> None:
    named = re.findall(r"`(gtcrn_\w+)`", README.partition("## What can be watched")[2].partition("\n## ")[0])
    told = httpx.get(f"{service.http}/metrics").text
    assert set(named) == set(re.findall(r"^# TYPE (gtcrn_\w+)", told, re.MULTILINE))


def test_the_answers_of_the_protocol_page_are_the_models(service: Running) -> None:
    models: dict[str, type[BaseModel]] = {
        "ready": Ready,
        "mark": Marked,
        "levels": Levels,
        "token": Token,
        "done": Done,
        "overloaded": Overloaded,
        "error": Error,
    }
    for message in messages(blocks(PROTOCOL, "json")[2]):
        models[str(message["type"])].model_validate(message)


def test_the_defaults_of_start_are_those_shown() -> None:
    shown = messages(blocks(PROTOCOL, "json")[0])[0]
    assert parse('{"type": "start"}').model_dump() == shown


def test_the_table_of_close_codes_is_the_mapping() -> None:
    rows = re.findall(r"^\| (\d{4}) \| ([^|]+) \|", PROTOCOL, re.MULTILINE)
    shown = {(int(code), kind) for code, kinds in rows for kind in re.findall(r"`(\w+)`", kinds)}
    mapped = {(kind.close, kind.code) for kind in Kind}
    assert shown <= mapped
    assert {code for code, _ in mapped} <= {int(code) for code, _ in rows}


def test_the_limits_of_the_protocol_page_are_the_defaults() -> None:
    fields = Settings.model_fields
    assert fields["start_seconds"].default == fields["slow_reader_seconds"].default == 10
    assert fields["max_message_bytes"].default == 256 * 1024


@pytest.fixture
def folder(tmp_path: Path, denoiser: Denoiser) -> Path:
    """A working folder with the files that the examples read."""
    (tmp_path / "noisy.s16").write_bytes(pcm(speech(1)))
    soundfile.write(tmp_path / "noisy.wav", np.frombuffer(pcm(speech(1)), "<i2"), 16_000)
    return tmp_path


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
@pytest.mark.parametrize("number", range(3))
def test_curl_examples(service: Running, denoiser: Denoiser, folder: Path, number: int) -> None:
    script = blocks(README, "sh")[1 + number]
    text = script.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")
    subprocess.run(["sh", "-ec", text], cwd=folder, check=True, env={**os.environ, "no_proxy": "*"})
    wanted = offline(denoiser, pcm(speech(1)))
    written = {path.name for path in folder.glob("clean.*")}
    assert written
    if "clean.s16" in written:
        assert (folder / "clean.s16").read_bytes() == wanted
    if "clean.wav" in written:
        assert (folder / "clean.wav").read_bytes()[44:] == wanted
    if "clean.flac" in written:
        limited = offline(denoiser, pcm(speech(1)), attenuation_limit=18)
        assert soundfile.read(folder / "clean.flac", dtype="int16")[0].astype("<i2").tobytes() == limited


def test_the_python_example(service: Running, denoiser: Denoiser, folder: Path) -> None:
    text = blocks(README, "python")[0].replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")
    noisy = (folder / "noisy.s16").read_bytes()
    result = subprocess.run([sys.executable, "-c", text], input=noisy, capture_output=True, check=True)
    assert result.stdout == offline(denoiser, noisy)


def in_node(script: str, folder: Path) -> bytes:
    """What it prints with the client of README.md before it."""
    node = ["node", "--experimental-websocket", "-e"]
    if subprocess.run([*node, "WebSocket"], capture_output=True).returncode:
        pytest.skip("this node has no WebSocket")
    return subprocess.run([*node, blocks(README, "js")[0] + script], cwd=folder, capture_output=True, check=True).stdout


@pytest.mark.skipif(not shutil.which("node"), reason="no node")
def test_the_javascript_example(service: Running, denoiser: Denoiser, folder: Path) -> None:
    printed = in_node(
        f'const bytes = require("fs").readFileSync("noisy.s16");'
        f"const pcm = new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));"
        f'denoise("{service.socket}", pcm).then((out) => process.stdout.write(Buffer.from(out.buffer)));',
        folder,
    )
    wanted = offline(denoiser, (folder / "noisy.s16").read_bytes())
    np.testing.assert_array_equal(np.frombuffer(printed, "<i2"), np.frombuffer(wanted, "<i2"))


@pytest.mark.skipif(not shutil.which("node"), reason="no node")
def test_the_javascript_example_ends_with_its_connection(folder: Path) -> None:
    with serve(lambda connection: connection.close(), "127.0.0.1", 0) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        url = f"ws://127.0.0.1:{host.socket.getsockname()[1]}"
        printed = in_node(f'denoise("{url}", []).catch((error) => process.stdout.write(error.message));', folder)
    assert printed == b"the connection ended early"
