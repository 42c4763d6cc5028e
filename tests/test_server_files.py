"""POST /v1/denoise: files equal to the command line's, in every format, with what is told about them."""

import io
import os
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from networks import random_network
from serving import Running, offline, speech
from uploads import audio_file, recording

from gtcrn import Denoiser, checkpoint
from gtcrn_server.load.generator import resident_bytes


def test_a_file_equals_what_the_command_line_writes(service: Running, tmp_path: Path) -> None:
    weights, source, target = tmp_path / "w.safetensors", tmp_path / "in.wav", tmp_path / "out.wav"
    checkpoint.write(weights, checkpoint.from_model(random_network()))
    source.write_bytes(audio_file(speech(3, channels=2)))
    command = [sys.executable, "-m", "gtcrn", "denoise", str(source), "-o", str(target), "--weights", str(weights)]
    subprocess.run(command, check=True, capture_output=True)
    answer = httpx.post(f"{service.http}/v1/denoise", content=source.read_bytes())
    written, _ = soundfile.read(target, dtype="int16")
    served, _ = soundfile.read(io.BytesIO(answer.content), dtype="int16")
    np.testing.assert_array_equal(served, written)


@pytest.mark.parametrize("multipart", [False, True], ids=["raw", "multipart"])
def test_body_or_field(service: Running, denoiser: Denoiser, multipart: bool) -> None:
    data = audio_file(speech(2))
    body = {"files": {"file": ("noisy.wav", data, "audio/wav")}} if multipart else {"content": data}
    answer = httpx.post(f"{service.http}/v1/denoise", **body)
    assert answer.headers["content-type"] == "audio/wav"
    assert int(answer.headers["content-length"]) == len(data) == len(answer.content)
    assert answer.content[44:] == offline(denoiser, data[44:])


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        ("wav", "ULAW"),
        ("wav", "ALAW"),
        ("wav", "PCM_U8"),
        ("wav", "PCM_24"),
        ("wav", "FLOAT"),
        ("flac", "PCM_16"),
        ("flac", "PCM_24"),
        ("ogg", "VORBIS"),
    ],
)
def test_formats_of_the_answer(service: Running, denoiser: Denoiser, container: str, subtype: str) -> None:
    samples = speech(2.3, sample_rate=32_000, channels=2)
    answer = httpx.post(
        f"{service.http}/v1/denoise",
        params={"format": container, "subtype": subtype},
        content=audio_file(samples, subtype="FLOAT", rate=32_000),
    )
    with soundfile.SoundFile(io.BytesIO(answer.content)) as file:
        assert (file.format, file.subtype, file.samplerate) == (container.upper(), subtype, 32_000)
        assert file.frames == samples.shape[1]
        got = file.read(dtype="float32").T
    step = {
        "ULAW": 2**-5,
        "ALAW": 2**-5,
        "PCM_U8": 2**-7,
        "PCM_16": 2**-15,
        "PCM_24": 2**-23,
        "FLOAT": 1e-6,
        "VORBIS": 0.2,
    }[subtype]
    wanted = denoiser(samples, 32_000)
    np.testing.assert_allclose(got, wanted, atol=step)
    assert np.corrcoef(got.ravel(), wanted.ravel())[0, 1] > 0.9


def test_the_format_of_the_file_is_kept(service: Running) -> None:
    answer = httpx.post(f"{service.http}/v1/denoise", content=audio_file(speech(1), "FLAC"))
    assert answer.headers["content-type"] == "audio/flac"
    assert soundfile.info(io.BytesIO(answer.content)).subtype == "PCM_16"


def test_an_odd_number_of_bytes_is_padded_as_wav_asks(service: Running) -> None:
    answer = httpx.post(f"{service.http}/v1/denoise", content=audio_file(speech(1)[:, :333], subtype="PCM_U8"))
    assert len(answer.content) == int(answer.headers["content-length"]) == 44 + 334
    assert struct.unpack("<I", answer.content[40:44]) == (333,)


def exchange(port: int, request: bytes) -> bytes:
    """A whole answer with all that is behind its body."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
        return answer


@pytest.mark.parametrize(("seconds", "long"), [(1, False), (120, True)])
def test_clipped_and_nonfinite_samples_are_told(service: Running, seconds: int, long: bool) -> None:
    """In the header where the answer is short, behind the body where it is long."""
    samples = speech(seconds)
    samples[0, 100:103] = np.nan
    data = audio_file(samples, subtype="FLOAT", rate=8_000)
    query, length = "format=wav&subtype=PCM_16", len(data)
    head = (
        f"POST /v1/denoise?{query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
    header, _, body = exchange(service.port, head.encode() + data).partition(b"\r\n\r\n")
    assert (b"trailer:" in header.lower()) == long
    told = body.rpartition(b"\r\n0\r\n")[2] if long else header
    found = dict(re.findall(rb"gtcrn-(\w+): (\d+)", told.lower()))
    assert found == {b"nonfinite": b"3", b"clipped": b"0"}


def test_attenuation_limit(service: Running, denoiser: Denoiser) -> None:
    data = audio_file(speech(1))
    answer = httpx.post(f"{service.http}/v1/denoise", params={"attenuation_limit": 9}, content=data)
    assert answer.content[44:] == offline(denoiser, data[44:], attenuation_limit=9)


def test_highs_are_kept_where_that_is_asked_for(service: Running, denoiser: Denoiser) -> None:
    data = audio_file(speech(1), rate=48_000)
    answer = httpx.post(f"{service.http}/v1/denoise", params={"keep_highs": True}, content=data)
    assert answer.content[44:] == offline(denoiser, data[44:], 48_000, keep_highs=True)


def test_memory_stays_flat_over_a_long_file(service: Running) -> None:
    data = audio_file(np.zeros((1, 16_000 * 590), np.float32), "FLAC")
    httpx.post(f"{service.http}/v1/denoise", content=audio_file(speech(10)))
    before = resident_bytes(os.getpid())
    with httpx.stream("POST", f"{service.http}/v1/denoise", params={"format": "wav"}, content=data) as answer:
        total = sum(len(piece) for piece in answer.iter_bytes())
        grown = resident_bytes(os.getpid()) - before
    assert total == 44 + 2 * 16_000 * 590
    assert grown < 12_000_000  # the answer alone has 19 MB


@pytest.mark.parametrize(("container", "codec"), [("webm", "libopus"), ("mp4", "aac")])
def test_what_browsers_record(service: Running, container: str, codec: str) -> None:
    data = recording(container, codec, speech(2, sample_rate=48_000))
    answer = httpx.post(f"{service.http}/v1/denoise", content=data)
    assert answer.status_code == 200
    found, rate = soundfile.read(io.BytesIO(answer.content))
    assert (answer.headers["content-type"], rate) == ("audio/wav", 48_000)
    assert abs(len(found) - 96_000) <= 1_024
