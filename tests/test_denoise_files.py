"""`gtcrn denoise` of files, folders and patterns: what is written where, in which form, and what is said of it."""

import contextlib
import json
import os
import pty
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import denoise, lines, names, only_line, piped, write
from commands import GTCRN
from streams import noise, random_denoiser

import gtcrn
from gtcrn.audio.pcm import PcmFormat, header
from gtcrn.cli.app import run


def test_one_file_gets_a_name_beside_it(folder: Path) -> None:
    write(folder / "a.wav", 1.0)
    assert denoise("a.wav") == 0
    found, rate = soundfile.read("a.denoised.wav", dtype="float32")
    noisy, _ = soundfile.read("a.wav", dtype="float32")
    assert rate == 16_000
    np.testing.assert_allclose(found, np.clip(random_denoiser()(noisy), -1, 1), atol=2**-15)


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2), (48_000, 6), (192_000, 1)])
def test_rate_channels_and_subtype_stay(folder: Path, rate: int, channels: int) -> None:
    write(folder / "a.flac", 0.3, rate, channels, subtype="PCM_24")
    assert denoise("a.flac", "-o", "b.flac") == 0
    before, after = soundfile.info("a.flac"), soundfile.info("b.flac")
    for name in ("samplerate", "channels", "frames", "format", "subtype"):
        assert getattr(before, name) == getattr(after, name)


def test_without_attenuation_a_file_stays_equal_to_the_bit(folder: Path) -> None:
    write(folder / "a.wav", rate=48_000, channels=2)
    assert denoise("a.wav", "-o", "b.wav", "--attenuation-limit", "0") == 0
    np.testing.assert_array_equal(soundfile.read("a.wav")[0], soundfile.read("b.wav")[0])


def test_memory_does_not_grow_with_the_length(folder: Path) -> None:
    """The peak of a process over ten seconds and over twenty minutes, which as float32 are 77 MB."""
    form, peaks = PcmFormat(16_000, 1, "s16le"), []
    for seconds in (10, 1200):
        with open("a.wav", "wb") as file:
            file.write(header(form, seconds * 32_000))
            file.truncate(44 + seconds * 32_000)
        process = subprocess.Popen([*GTCRN, "denoise", "a.wav", "-o", "b.wav", "--weights", "../weights.safetensors"])
        _, process.returncode, usage = os.wait4(process.pid, 0)
        assert process.returncode == 0
        peaks.append(usage.ru_maxrss * 1024)
    assert soundfile.info("b.wav").duration == 1200
    assert peaks[1] - peaks[0] < 10_000_000


def test_highs_are_kept_as_in_the_library(folder: Path) -> None:
    write(folder / "a.wav", rate=48_000, channels=2, subtype="FLOAT")
    assert denoise("a.wav", "-o", "b.wav", "--keep-highs") == 0
    denoiser, samples = gtcrn.load("../weights.safetensors"), soundfile.read("a.wav", dtype="float32")[0].T
    np.testing.assert_array_equal(soundfile.read("b.wav")[0].T, denoiser(samples, 48_000, keep_highs=True))
    raw = PcmFormat(48_000, 2, "f32le")
    found = piped(
        "-",
        "--raw",
        "--rate",
        "48000",
        "--channels",
        "2",
        "--encoding",
        "f32le",
        "--keep-highs",
        data=raw.encode(samples)[0],
    )
    assert found.stdout == raw.encode(denoiser(samples, 48_000, keep_highs=True))[0]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_folder_keeps_its_structure(folder: Path, jobs: str) -> None:
    for name in ("a.wav", "deep/er/b.flac", ".hidden/c.wav", "deep/notes.txt"):
        path = folder / "in" / name
        write(path) if path.suffix in (".wav", ".flac") else path.write_text("x")
    assert denoise("in", "-o", "out", "--jobs", jobs) == 0
    assert names("out") == ["a.wav", "deep/er/b.flac"]


def test_a_second_run_over_a_folder_leaves_its_outputs_out(folder: Path) -> None:
    write(folder / "a.wav")
    assert denoise(".") == denoise(".") == 0
    assert denoise(".", "-o", "out") == denoise(".", "-o", "out") == 0
    assert names(".") == ["a.denoised.wav", "a.wav", "out/a.wav"]


def test_patterns_that_the_shell_left_alone(folder: Path) -> None:
    for name in ("x/a.wav", "x/b.wav", "y/a.wav"):
        write(folder / name)
    assert denoise("*/a.wav", "-o", "out") == 0
    assert names("out") == ["x/a.wav", "y/a.wav"]


def test_format_and_subtype_are_changed_on_request(folder: Path) -> None:
    write(folder / "a.wav")
    assert denoise("a.wav", "--format", "flac", "--subtype", "PCM_24") == 0
    assert soundfile.info("a.denoised.flac").subtype == "PCM_24"


def test_skip_existing_goes_on_where_a_run_was_interrupted(folder: Path) -> None:
    for name in ("a.wav", "b.wav"):
        write(folder / name)
    (folder / "a.denoised.wav").write_bytes(b"kept")
    assert denoise("a.wav", "b.wav", "--skip-existing") == 0
    assert (folder / "a.denoised.wav").read_bytes() == b"kept"
    assert (folder / "b.denoised.wav").is_file()


def test_an_output_may_replace_its_input_on_request(folder: Path) -> None:
    write(folder / "a.wav")
    before = (folder / "a.wav").read_bytes()
    assert denoise("a.wav", "-o", "a.wav", "--overwrite") == 0
    assert (folder / "a.wav").read_bytes() != before


def test_remarks_about_samples_unless_quiet(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    samples = noise(4_000)
    samples[5:8], samples[10] = np.nan, np.inf
    soundfile.write("a.wav", samples, 16_000, subtype="FLOAT")
    loud = write(folder / "loud.wav", subtype="FLOAT")
    soundfile.write(loud, np.full(4_000, 3.0), 16_000, subtype="FLOAT")
    assert denoise("a.wav") == 0
    assert "4 samples were NaN, infinite" in lines(capfd)[0]
    assert denoise("loud.wav", "--subtype", "PCM_16", "--attenuation-limit", "0") == 0
    assert "loud.wav: 4000 samples were clipped at full scale" in lines(capfd)[0]
    assert denoise("a.wav", "--quiet") == 0
    assert capfd.readouterr().err == ""


def test_a_success_is_one_line(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(folder / "in" / "a.wav", 0.5)
    write(folder / "in" / "b.wav", 60.0)
    assert denoise("in/a.wav", "-o", "a.flac") == 0
    assert re.fullmatch(r"gtcrn: wrote a.flac: 0.5 s of audio, \d+ times real time.\n", only_line(capfd))
    (folder / "out").mkdir()
    (folder / "out" / "b.wav").touch()
    assert denoise("in", "-o", "out", "--skip-existing") == 0
    wanted = r"gtcrn: wrote out/a.wav: 0.5 s of audio, \d+ times real time; 1 left as they were.\n"
    assert re.fullmatch(wanted, only_line(capfd))
    assert denoise("in", "-o", "out") == 0
    assert re.fullmatch(r"gtcrn: wrote 2 files to out: 1:0[01] of audio, \d+ times real time.\n", only_line(capfd))
    assert denoise("in", "-o", "out", "--skip-existing") == 0
    assert only_line(capfd) == "gtcrn: nothing to do: all outputs (2) are there already.\n"


def test_records_for_scripts(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(folder / "a.wav", 0.5)
    (folder / "b.wav").write_text("no audio")
    (folder / "c.denoised.wav").touch()
    write(folder / "c.wav")
    assert denoise("a.wav", "b.wav", "c.wav", "--skip-existing", "--json") == 2
    found = {record.pop("input"): record for record in map(json.loads, capfd.readouterr().out.splitlines())}
    assert found["a.wav"].pop("times_real_time") > 0
    fields = {"output": "a.denoised.wav", "seconds": 0.5, "sample_rate": 16_000, "channels": 1, "clipped": 0}
    assert found["a.wav"] == {"status": "written", **fields, "nonfinite": 0, "remark": None, "error": None}
    assert (found["b.wav"]["status"], found["b.wav"]["output"]) == ("failed", None)
    assert found["b.wav"]["error"] == "b.wav is not audio that can be read: format not recognised."
    assert found["c.wav"]["status"] == "skipped"
    assert piped("-", "-o", "b.wav", "--json", data=(folder / "a.wav").read_bytes()).stdout.startswith(
        b'{"input": "sta'
    )


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """The exit code of `gtcrn denoise`, and what a terminal shows."""
    ours, theirs = pty.openpty()
    command = [*GTCRN, "denoise", *arguments, "--weights", "../weights.safetensors"]
    seen = b""
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.PIPE) as process:
        assert process.stdout
        os.close(theirs)
        with contextlib.suppress(OSError):  # how a terminal ends
            while piece := os.read(ours, 1 << 16):
                seen += piece
        assert process.stdout.read() == b""
    os.close(ours)
    return process.returncode, seen.decode(errors="replace")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_terminal_sees_a_bar_with_speed_and_end(folder: Path, jobs: str) -> None:
    for name in ("a.wav", "b.wav"):
        write(folder / "in" / name, 20.0)
    code, seen = on_a_terminal("in", "-o", "out", "--jobs", jobs)
    assert code == 0
    assert re.search(r"2 files.*100%.*\d+x real time.*0:00:00", seen, re.DOTALL)


def test_a_bar_neither_waits_for_a_pipe_nor_ends_over_a_name_or_a_kind(folder: Path) -> None:
    names_of_all = ("a.wav", os.fsdecode(b"\xff.wav"), "samples.raw")
    for name in names_of_all:
        write(folder / "x.wav").rename(folder / name)
    os.mkfifo("pipe.wav")
    _, seen = on_a_terminal("pipe.wav", *names_of_all, "-o", "out")
    assert "Traceback" not in seen
    assert "pipe.wav is a pipe" in seen
    assert {"a.wav", os.fsdecode(b"\xff.wav")} <= set(os.listdir("out"))


def test_a_bar_shows_a_name_as_it_is(folder: Path) -> None:
    write(folder / "[red]a.wav")
    assert "[red]a.wav" in on_a_terminal("[red]a.wav", "-o", "b.wav")[1]


def test_inputs_that_look_like_options_follow_two_dashes(folder: Path) -> None:
    for name in ("-x.wav", "a.wav"):
        write(folder / name)
    assert run(["denoise", "--weights", "../weights.safetensors", "-o", "out", "--", "-x.wav", "a.wav"]) == 0
    assert names("out") == ["-x.wav", "a.wav"]


@pytest.mark.parametrize(("name", "subtype"), [("opus", "OPUS"), ("ogg", "VORBIS"), ("vorbis", "VORBIS")])
def test_a_codec_may_be_named_in_place_of_its_container(folder: Path, name: str, subtype: str) -> None:
    write(folder / "a.wav")
    assert denoise("a.wav", "-o", f"out.{name}", "--format", name) == denoise("a.wav", "--format", name) == 0
    assert soundfile.info(f"out.{name}").subtype == subtype
    assert names(".") == ["a.denoised.opus" if name == "opus" else "a.denoised.ogg", "a.wav", f"out.{name}"]
