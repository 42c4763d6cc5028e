"""Uploads that are damaged, too long, bombs or no audio, and clients that leave: told in a sentence, places freed."""

import struct
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from serving import Running, running, speech, wait_for
from uploads import audio_file

from gtcrn import Denoiser
from gtcrn.audio.pcm import PcmFormat, header


@pytest.fixture(scope="module")
def service(denoiser: Denoiser) -> Iterator[Running]:
    with running(denoiser, max_audio_seconds=600, max_audio_samples=20_000_000, max_body_bytes=9_000_000) as instance:
        yield instance


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
