"""POST /v1/denoise and /v1/denoise/pcm: equal to the command line, streamed both ways, bad files told."""

import io
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from networks import random_network
from serving import Running, offline, pcm, running, speech, wait_for

from gtcrn import Denoiser, checkpoint
from gtcrn.audio.pcm import PcmFormat, header
from gtcrn_server.load.generator import resident_bytes


@pytest.fixture(scope="module")
def service(denoiser: Denoiser) -> Iterator[Running]:
    with running(denoiser, max_audio_seconds=600, max_audio_samples=20_000_000, max_body_bytes=9_000_000) as instance:
        yield instance


def audio_file(samples: np.ndarray, container: str = "WAV", subtype: str = "PCM_16", rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples.T, rate, format=container, subtype=subtype)
    return file.getvalue()


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
    np.testing.assert_allclose(got, denoiser(samples, 32_000), atol=step)


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


def without_total(flac: bytes) -> bytes:
    """The file as it is when it was written to a pipe: its header does not say how long it is."""
    return flac[:21] + bytes([flac[21] & 0xF0, 0, 0, 0, 0]) + flac[26:]


def flac_bomb(seconds: int) -> bytes:
    """A small file of much silence."""
    return audio_file(np.zeros((1, 8_000 * seconds), np.float32), "FLAC", rate=8_000)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 422, "empty|not audio"),
        (b"no audio at all" * 100, 422, "not audio"),
        (audio_file(speech(1))[:3000], 422, "truncated"),
        (audio_file(speech(0)), 422, "no samples"),
        (flac_bomb(3600), 413, "longer than 600 s"),
        (audio_file(np.zeros((8, 3_000_000), np.float32), "FLAC", rate=192_000), 413, "20000000 samples in"),
        (b"\0" * 9_000_001, 413, "9000000 bytes"),
    ],
    ids=["empty", "text", "truncated", "no samples", "bomb", "wide bomb", "huge"],
)
def test_bad_files_are_told_in_a_sentence(service: Running, body: bytes, status: int, words: str) -> None:
    answer = httpx.post(f"{service.http}/v1/denoise", content=body)
    assert answer.status_code == status
    fault = answer.json()
    assert any(word in fault["message"] for word in words.split("|"))
    assert "/" not in fault["message"]
    assert service.service.files.taken == 0


def test_a_body_without_length_is_counted(service: Running) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"\0" * 100_000

    answer = httpx.post(f"{service.http}/v1/denoise", content=endless())
    assert answer.status_code == 413


def test_a_multipart_body_without_the_field_or_damaged(service: Running) -> None:
    other = httpx.post(f"{service.http}/v1/denoise", files={"sound": b"x"})
    damaged = httpx.post(f"{service.http}/v1/denoise", content=b"x", headers={"content-type": "multipart/form-data"})
    assert (other.status_code, damaged.status_code) == (400, 400)


def test_a_client_that_leaves_a_file_half_read_frees_its_place(service: Running) -> None:
    data = audio_file(speech(60), "FLAC", "PCM_16")
    options: dict[str, Any] = {"params": {"format": "wav"}, "timeout": 60}
    with httpx.stream("POST", f"{service.http}/v1/denoise", content=data, **options) as answer:
        next(answer.iter_bytes(1000))
    wait_for(lambda: service.service.files.taken == 0)


def test_memory_stays_flat_over_a_long_file(service: Running) -> None:
    import os

    data = audio_file(np.zeros((1, 16_000 * 590), np.float32), "FLAC")
    httpx.post(f"{service.http}/v1/denoise", content=audio_file(speech(10)))
    before = resident_bytes(os.getpid())
    with httpx.stream("POST", f"{service.http}/v1/denoise", params={"format": "wav"}, content=data) as answer:
        total = sum(len(piece) for piece in answer.iter_bytes())
        grown = resident_bytes(os.getpid()) - before
    assert total == 44 + 2 * 16_000 * 590
    assert grown < 12_000_000  # the answer alone has 19 MB


def test_pcm_streams_both_ways_at_once(service: Running, denoiser: Denoiser) -> None:
    """The first output is read before the last input is sent."""
    data = pcm(speech(2))
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        file = connection.makefile("rb")
        connection.sendall(b"POST /v1/denoise/pcm HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        output = b""
        for start in range(0, len(data), 6401):  # cuts samples in two
            piece = data[start : start + 6401]
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            while start == 0 and file.readline() != b"\r\n":
                pass
            output += read_chunk(file)
        connection.sendall(b"0\r\n\r\n")
        while piece := read_chunk(file):
            output += piece
    assert output == offline(denoiser, data)


def read_chunk(file: io.BufferedReader) -> bytes:
    """One chunk of an answer; empty at its end."""
    data = file.read(int(file.readline(), 16))
    file.readline()
    return data


def test_pcm_ending_within_a_sample_has_an_answer_without_end(service: Running) -> None:
    told = httpx.post(f"{service.http}/v1/denoise/pcm", content=pcm(speech(1)) + b"x")
    assert told.status_code == 400
    with pytest.raises(httpx.RemoteProtocolError):  # too late to tell
        httpx.post(f"{service.http}/v1/denoise/pcm", content=iter([pcm(speech(1)), b"x"]))
    wait_for(lambda: service.service.telemetry.live == 0)


def test_pcm_options_are_checked(service: Running) -> None:
    answer = httpx.post(f"{service.http}/v1/denoise/pcm", params={"sample_rate": 1}, content=b"")
    assert answer.status_code == 422
    assert "sample_rate" in answer.json()["message"]


def test_pcm_client_killed_frees_its_place(service: Running) -> None:
    connection = socket.create_connection(("127.0.0.1", service.port))
    connection.sendall(
        b"POST /v1/denoise/pcm HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
    )
    wait_for(lambda: service.service.telemetry.live == 1)
    connection.close()
    wait_for(lambda: service.service.telemetry.live == 0)


@pytest.mark.parametrize(
    ("channels", "rate", "format", "words"),
    [
        (256, 16_000, "ogg", "1 to 64 channels, not 256"),
        (1, 250_000, "ogg", "8000 to 192000 Hz, not 250000"),
        (1, 2**31 - 1, "wav", "8000 to 192000 Hz, not 2147483647"),
        (1, 65_537, "flac", "FLAC PCM_16 cannot hold 65537 Hz"),
        (64, 48_000, "flac", "FLAC PCM_16 cannot hold 64 channels, at most 8; these can: WAV, "),
    ],
)
def test_what_an_answer_cannot_hold_is_told(
    service: Running, channels: int, rate: int, format: str, words: str
) -> None:
    data = header(PcmFormat(16_000, channels, "s16le"), 2 * channels)
    data = data[:24] + struct.pack("<I", rate) + data[28:] + bytes(2 * channels)
    answer = httpx.post(f"{service.http}/v1/denoise", params={"format": format}, content=data)
    assert answer.status_code == 422
    assert words in answer.json()["message"]


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "GSM610", "G721_32", "MPEG_LAYER_III"])
def test_subtypes_that_a_container_lists_and_cannot_hold(service: Running, subtype: str) -> None:
    answer = httpx.post(f"{service.http}/v1/denoise", params={"subtype": subtype}, content=audio_file(speech(1)))
    assert answer.status_code == 422
    assert subtype in answer.json()["message"]


def test_a_bomb_whose_header_tells_nothing_is_cut_off_while_it_is_decoded(service: Running) -> None:
    bomb = without_total(audio_file(np.zeros((8, 3_000_000), np.float32), "FLAC"))
    before = service.service.telemetry.rejections["too_large"]
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{service.http}/v1/denoise", params={"format": "wav"}, content=bomb)
    wait_for(lambda: service.service.telemetry.rejections["too_large"] == before + 1)


def test_a_file_whose_header_tells_no_length_is_denoised(service: Running, denoiser: Denoiser) -> None:
    samples = speech(2)
    data = without_total(audio_file(samples, "FLAC", "PCM_24"))
    answer = httpx.post(f"{service.http}/v1/denoise", params={"format": "wav", "subtype": "FLOAT"}, content=data)
    np.testing.assert_allclose(np.frombuffer(answer.content[44:], "<f4"), denoiser(samples)[0], atol=1e-5)


def recording(container: str, codec: str, samples: np.ndarray) -> bytes:
    """What a browser's MediaRecorder gives."""
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
        frame.sample_rate, frame.pts = 48_000, 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(("container", "codec"), [("webm", "libopus"), ("mp4", "aac")])
def test_what_browsers_record(service: Running, container: str, codec: str) -> None:
    data = recording(container, codec, speech(2, sample_rate=48_000))
    answer = httpx.post(f"{service.http}/v1/denoise", content=data)
    assert answer.status_code == 200
    found, rate = soundfile.read(io.BytesIO(answer.content))
    assert (answer.headers["content-type"], rate) == ("audio/wav", 48_000)
    assert abs(len(found) - 96_000) <= 1_024


@pytest.mark.parametrize(
    "data",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:%d/metrics\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b"\0\0\0\x18ftypmp42" + bytes(3_000),
        b"\x1a\x45\xdf\xa3" + bytes(3_000),
    ],
    ids=["HLS", "concat", "half an MP4", "half a WebM"],
)
def test_playlists_and_broken_recordings_are_no_audio(service: Running, data: bytes) -> None:
    data = data % service.port if b"%d" in data else data
    answer = httpx.post(f"{service.http}/v1/denoise", content=data)
    assert answer.status_code == 422
    assert "/" not in answer.json()["message"]
