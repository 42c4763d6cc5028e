"""POST /v1/denoise/pcm: streamed both ways at once, options checked, places freed."""

import io
import socket

import httpx
import pytest
from serving import Running, offline, pcm, speech, wait_for

from gtcrn import Denoiser


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
