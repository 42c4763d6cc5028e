"""What `gtcrn denoise` refuses, in one line and with exit code 2, and what one bad file means for the others."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from command_line import denoise, names, only_line, piped, write
from commands import GTCRN


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_bad_file_does_not_stop_the_others(folder: Path, capfd: pytest.CaptureFixture[str], jobs: str) -> None:
    write(folder / "good.wav")
    (folder / "bad.wav").write_text("no audio")
    assert denoise("bad.wav", "missing.wav", "good.wav", "-o", "out", "--jobs", jobs) == 2
    assert os.listdir("out") == ["good.wav"]
    lines = sorted(capfd.readouterr().err.splitlines())
    assert lines == [
        "gtcrn: 2 of 3 files failed.",
        "gtcrn: bad.wav is not audio that can be read: format not recognised.",
        "gtcrn: there is no file missing.wav.",
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.wav"], "there is no file missing.wav"),
        (["empty"], "the folder empty holds no audio files"),
        (["no*.wav"], "no file matches 'no*.wav'"),
        (["a.wav", "-o", "a.wav"], "is an input; use --overwrite"),
        (["a.wav", "-o", "link.wav"], "is an input; use --overwrite"),
        (["a.wav", "b.wav", "-o", "b.wav"], "b.wav is a file; 2 inputs need a folder"),
        (["a.wav", "b.wav", "-o", "new.wav"], "new.wav is a file; 2 inputs need a folder"),
        (["a.wav", "sub/a.wav", "-o", "out"], "would both be written to"),
        (["a.wav", "-o", "x.unknown"], "no format 'UNKNOWN'"),
        (["a.wav", "--subtype", "VORBIS"], "WAV cannot hold VORBIS"),
        (["a.wav", "--attenuation-limit", "-3"], "0 dB or more, not -3"),
        (["a.wav", "--raw"], "--raw is for pipes"),
        (["a.wav", "--bogus"], "No such option"),
        (["a.wav", "--jobs", "0"], "jobs"),
        (["a.wav", "-", "-o", "x.wav"], "one recording, not 2"),
        (["a.wav", "-o", "-", "--json"], "--json prints on standard output"),
        (["a.wav", "--jobs", "two"], "two is not a whole number"),
        (["low.wav"], "low.wav: sample rate must be 8000 to 192000 Hz, not 4000"),
        ([], "INPUTS"),
        (["-", "-o", "."], ". is no ordinary file and cannot be written"),
        (["a.wav", "--format", "audio/wav"], "there is no format 'audio/wav'; name one such as WAV"),
        (["a.wav", "-o", "out", "--format", "."], "there is no format '.'"),
        (["-", "--raw", "--rate", "1" * 400], "sample rate must be 8000 to 192000 Hz, not 1111"),
        (["-", "--raw", "--channels", "1" * 400], "1 to 64 channels, not 1111"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    sentence: str,
) -> None:
    (folder / "empty").mkdir()
    for name in ("a.wav", "b.wav", "sub/a.wav"):
        write(folder / name)
    os.link("a.wav", "link.wav")
    write(folder / "low.wav", rate=4_000)
    before = names(".")
    with (folder / "a.wav").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert denoise(*arguments) == 2
    assert sentence.lower() in only_line(capfd).lower()
    assert names(".") == before


def test_a_name_that_is_no_text_does_not_stop_the_others(folder: Path) -> None:
    write(folder / "in" / "a.wav")
    os.link("in/a.wav", b"in/\xff.wav")
    process = piped("in", "-o", "out")
    assert "a.wav" in os.listdir("out")
    assert b"Traceback" not in process.stderr


@pytest.mark.parametrize(("channels", "rate"), [(256, 16_000), (1, 250_000)])
def test_what_ends_an_encoder_is_refused_before_it_and_stops_no_other(folder: Path, channels: int, rate: int) -> None:
    write(folder / "in" / "bad.wav", 0.01, rate, channels)
    write(folder / "in" / "good.wav")
    result = piped("in", "-o", "out", "--format", "ogg", "--jobs", "2")
    assert result.returncode == 2
    assert result.stderr.count(b"\n") == 2
    assert names("out") == ["good.ogg"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_names_of_any_bytes_and_of_any_length_are_worked_on_or_refused_one_by_one(folder: Path, jobs: str) -> None:
    write(folder / "in" / "a.wav")
    data = (folder / "in" / "a.wav").read_bytes()
    odd, long = b"in/\xff\xfe caf\xe9.wav", b"in/" + b"n" * 250 + b".wav"
    for name in (odd, long):
        Path(os.fsdecode(name)).write_bytes(data)
    environment = {**os.environ, "LC_ALL": "C", "LANG": "C"}
    command = [*GTCRN, "denoise", "in", "--jobs", jobs, "--weights", "../weights.safetensors"]
    result = subprocess.run(command, capture_output=True, env=environment)
    assert result.returncode == 1
    assert b"name too long" in result.stderr
    assert b"Traceback" not in result.stderr
    assert os.path.exists(b"in/\xff\xfe caf\xe9.denoised.wav")
    assert os.path.exists("in/a.denoised.wav")
    assert len(os.listdir("in")) == 5


def test_a_named_pipe_and_a_file_that_may_not_be_read_are_told_as_what_they_are(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo("pipe.wav")
    assert denoise("pipe.wav") == 2
    assert "is a pipe or a device, not a file; give it as standard input" in only_line(capfd)


def test_what_may_not_be_read_is_told(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs the tests as root may read everything: the system's answer is made up."""

    def closed(path: str | Path, *_: object) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    write(folder / "a.wav")
    (folder / "closed").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("gtcrn.audio.files.os.open", closed)
        assert denoise("a.wav") == 1
    assert "permission denied" in only_line(capfd)
    with monkeypatch.context() as patch:
        patch.setattr("gtcrn.plan.os.scandir", closed)
        assert denoise("closed", "-o", "out") == 1
    assert only_line(capfd) == "gtcrn: closed: Permission denied.\n"
