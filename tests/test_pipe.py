"""Standard streams: any header is answered in a sentence, nothing is read whole, words and audio never mix."""

import contextlib
import io
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from commands import GTCRN
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import noise

from gtcrn import AudioError
from gtcrn.audio.pcm import PcmFormat, header
from gtcrn.audio.pipe import PipeReader

S16 = PcmFormat(16_000, 1, "s16le")


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pipe") / "a.wav"
    soundfile.write(path, noise(8_000), 16_000, subtype="PCM_16")
    return path


def shell(command: str, folder: Path, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    line = f"{' '.join(GTCRN)} denoise {command}"
    return subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=folder, input=data, capture_output=True)


class Meter(io.BytesIO):
    largest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.largest = max(self.largest, size if size is not None and size >= 0 else len(self.getbuffer()))
        return super().read(size)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 60), st.binary(min_size=1, max_size=4)), max_size=6))
def test_any_header_is_a_format_or_a_sentence(changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(header(S16, 16) + bytes(16))
    for place, piece in changes:
        data[place : place + len(piece)] = piece
    with contextlib.suppress(AudioError):
        list(PipeReader(Meter(bytes(data))).blocks())


@pytest.mark.parametrize("kind", [b"LIST", b"fmt "])
def test_no_chunk_is_read_whole(kind: bytes) -> None:
    plain, size = header(S16, 8) + bytes(8), 3_000_000
    body = plain[20:36] if kind == b"fmt " else b""
    pipe = Meter(plain[:12] + kind + struct.pack("<I", size) + body + bytes(size - len(body)) + plain[12:])
    assert sum(block.shape[1] for block in PipeReader(pipe).blocks()) == 4
    assert pipe.largest <= 1 << 16


@pytest.mark.parametrize(
    ("rate", "channels"), [(4_294_967_295, 64), (2**31 - 1, 1), (250_000, 1), (0, 1), (16_000, 65_535), (16_000, 65)]
)
def test_a_refused_rate_writes_nothing(wav: Path, rate: int, channels: int) -> None:
    data = bytearray(header(S16, 1_000) + bytes(1_000))
    struct.pack_into("<HI", data, 22, channels, rate)
    result = shell("- -o -", wav.parent, bytes(data))
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.startswith(b"gtcrn: standard input: ")
    assert result.stderr.count(b"\n") == 1


@pytest.mark.parametrize("kind", ["flac", "mp3", "ogg"])
def test_other_files_come_through_pipes_too(wav: Path, kind: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, noise(8_000), 16_000, format=kind)
    result = shell("- -o -", wav.parent, file.getvalue())
    assert (result.returncode, result.stderr) == (0, b"")
    assert soundfile.info(io.BytesIO(result.stdout)).format == "WAV"


@pytest.mark.parametrize(
    ("name", "subtype"), [("flac", "PCM_16"), ("ogg", "VORBIS"), ("opus", "OPUS"), ("wav", "FLOAT")]
)
def test_formats_that_a_pipe_can_carry(wav: Path, name: str, subtype: str) -> None:
    kept = " --subtype FLOAT" if subtype == "FLOAT" else ""
    result = shell(f"- -o - --format {name}{kept} < a.wav", wav.parent)
    assert (result.returncode, result.stderr) == (0, b"")
    found, rate = soundfile.read(io.BytesIO(result.stdout))
    assert (len(found), rate) == (8_000, 16_000)
    assert soundfile.info(io.BytesIO(result.stdout)).subtype == subtype


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("- -o - --format mp3 < a.wav", "a stream cannot be MP3; it can be WAV, FLAC, OGG."),
        ("- -o - --format aiff < a.wav", "a stream cannot be AIFF"),
        ("- -o - --raw --format flac < a.wav", "--raw has no --format"),
        ("- -o - --rate 48000 < a.wav", "--rate, --channels and --encoding describe --raw PCM"),
        ("- -o - --raw --rate 4000 < a.wav", "sample rate must be 8000 to 192000 Hz, not 4000"),
        ("- -o x.wav <&-", "standard input is closed."),
        ("a.wav -o - >&-", "standard output is closed."),
    ],
)
def test_what_a_pipe_cannot_do_is_a_sentence(wav: Path, command: str, sentence: str) -> None:
    result = shell(command, wav.parent)
    assert (result.returncode, result.stdout) == (2, b"")
    assert sentence in result.stderr.decode()
    assert result.stderr.count(b"\n") == 1


def test_words_never_get_into_audio(wav: Path) -> None:
    nan = wav.parent / "nan.wav"
    soundfile.write(nan, np.full(8_000, np.nan), 16_000, subtype="FLOAT")  # there is a remark to make
    for closed in ("2>&-", "0<&- 2>&-"):
        result = shell(f"nan.wav -o - {closed}", wav.parent)
        assert (result.returncode, len(result.stdout)) == (0, 44 + 4 * 8_000)
        result = shell(f"nan.wav -o out.wav {closed} >&-", wav.parent)
        assert (result.returncode, result.stdout) == (0, b"")
        assert len((wav.parent / "out.wav").read_bytes()) >= 44 + 4 * 8_000
        assert soundfile.info(wav.parent / "out.wav").frames == 8_000


def test_a_reader_that_is_gone_is_exit_code_141(wav: Path) -> None:
    soundfile.write(wav.parent / "long.wav", noise(480_000), 16_000)
    result = shell("long.wav -o - | head -c 1000", wav.parent)
    assert (result.returncode, len(result.stdout), result.stderr) == (141, 1000, b"")


def test_libraries_say_nothing(wav: Path, tmp_path: Path) -> None:
    sound, junk = io.BytesIO(), np.random.default_rng(0).bytes(5_000)
    soundfile.write(sound, noise(160_000), 16_000, format="MP3")
    data = sound.getvalue()
    (tmp_path / "cut.mp3").write_bytes(data[:3_000] + junk + data[-20_000:])
    (tmp_path / "noise.mp3").write_bytes(np.random.default_rng(1).bytes(300_000))
    for name in ("cut", "noise"):
        for command in (f"{name}.mp3 -o out.wav", f"- -o out.wav < {name}.mp3"):
            result = shell(command, tmp_path)
            assert result.stderr.startswith(b"gtcrn: ")
            assert result.stderr.count(b"\n") == 1
            assert b"not exist" not in result.stderr
