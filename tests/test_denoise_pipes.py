"""`gtcrn denoise` between other programs: WAV and PCM from standard input, to standard output."""

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import denoise, piped, write
from commands import GTCRN
from streams import noise, random_denoiser

from gtcrn.audio.pcm import PcmFormat, header


def test_wav_through_pipes(folder: Path) -> None:
    source = write(folder / "a.wav", 1.0, 44_100, 2)
    result = piped("-", "-o", "-", data=source.read_bytes())
    assert (result.returncode, result.stderr) == (0, b"")
    assert denoise("a.wav", "-o", "b.wav") == 0
    found, rate = soundfile.read(io.BytesIO(result.stdout))
    assert rate == 44_100
    np.testing.assert_allclose(found, soundfile.read("b.wav")[0], atol=2**-14)


def test_pipes_to_files_and_files_to_pipes(folder: Path) -> None:
    source = write(folder / "a.wav", subtype="FLOAT")
    assert piped("-", "-o", "b.flac", data=source.read_bytes()).returncode == 0
    assert soundfile.info("b.flac").frames == 3_200
    found, _ = soundfile.read(io.BytesIO(piped("a.wav", "-o", "-").stdout), dtype="float32")
    np.testing.assert_array_equal(found, random_denoiser()(soundfile.read("a.wav", dtype="float32")[0]))


def test_a_pipe_of_unknown_length(folder: Path) -> None:
    form = PcmFormat(16_000, 1, "s16le")
    result = piped("-", data=header(form, None) + form.encode(noise(5_000, 1))[0])
    assert result.stdout[:44] == header(form, None)
    assert len(result.stdout) == 44 + 10_000


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_a_file_that_breaks_off_promises_no_length_to_a_pipe(folder: Path, container: str) -> None:
    data = write(folder / "a.flac", 3.0).read_bytes()
    (folder / "cut.flac").write_bytes(data[: len(data) // 2])
    whole, cut = (piped(name, "-o", "-", "--format", container).stdout for name in ("a.flac", "cut.flac"))
    assert soundfile.info(io.BytesIO(whole)).frames == 48_000
    if container == "WAV":
        assert cut[:44] == header(PcmFormat(16_000, 1, "s16le"), None)
    else:
        assert int.from_bytes(cut[21:26]) & 0xFFFFFFFFF == 0  # unknown (RFC 9639, 8.2)
    assert piped("cut.flac", "-o", "-", "--strict").returncode == 2


def test_an_mp3_promises_no_length_to_a_pipe(folder: Path) -> None:
    write(folder / "a.mp3", 3.0)
    assert piped("a.mp3", "-o", "-").stdout[:44] == header(PcmFormat(16_000, 1, "s16le"), None)


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_a_pipe_has_the_bit_rate_that_is_asked_for(folder: Path, kind: str) -> None:
    write(folder / "a.wav", 10.0, 48_000)
    low, high = (piped("a.wav", "-o", "-", "--format", kind, "--bitrate", rate).stdout for rate in ("48k", "128k"))
    assert 1.5 * len(low) < len(high)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [([], b"--bitrate is for MP3, Ogg, M4A and the like; WAV PCM_16 has none."), (["--raw"], b"--raw has no --format")],
)
def test_a_pipe_of_pcm_has_no_bit_rate(folder: Path, options: list[str], sentence: bytes) -> None:
    write(folder / "a.wav")
    result = piped("a.wav", "-o", "-", "--bitrate", "64k", *options)
    assert (result.returncode, result.stdout) == (2, b"")
    assert sentence in result.stderr


@pytest.mark.parametrize(("encoding", "width"), [("s16le", 2), ("f32le", 4)])
def test_raw_pcm_is_live_with_the_delay_of_one_window(folder: Path, encoding: str, width: int) -> None:
    """Each chunk is answered before the next is sent: after n samples, all but the last window less one are out."""
    command = [*GTCRN, "denoise", "-", "--raw", "--encoding", encoding, "--weights", "../weights.safetensors"]
    chunk = PcmFormat(16_000, 1, encoding).encode(noise(256, 1))[0]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(chunk)
        for _ in range(20):
            process.stdin.write(chunk)
            process.stdin.flush()
            assert len(process.stdout.read(256 * width)) == 256 * width  # would wait for ever if it were not sent
        process.stdin.close()
        assert len(process.stdout.read()) == 256 * width
    assert process.returncode == 0


@pytest.mark.parametrize("data", [b"", b"no WAV at all, just text", header(PcmFormat(16_000, 1, "s16le"), 0)])
def test_bad_standard_input_is_one_line_and_exit_code_2(folder: Path, data: bytes) -> None:
    result = piped("-", "-o", "-", data=data)
    assert result.returncode == 2
    assert re.fullmatch(rb"gtcrn: standard input .*\.\n", result.stderr)


def test_a_closed_standard_output_is_no_matter(folder: Path) -> None:
    write(folder / "a.wav", 30.0)
    command = f"{sys.executable} -m gtcrn denoise a.wav -o - --weights ../weights.safetensors | head -c 1000"
    result = subprocess.run(command, shell=True, capture_output=True)
    assert len(result.stdout) == 1000
    assert result.stderr == b""
