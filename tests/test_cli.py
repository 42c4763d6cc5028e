"""The command line as a person types it: files, folders, patterns, pipes; exit codes and one-line sentences."""

import contextlib
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from commands import GTCRN
from streams import noise, random_denoiser, write_weights

import gtcrn
from gtcrn.audio.pcm import PcmFormat, header
from gtcrn.cli.app import run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with weights.safetensors a level above it."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    os.rename(write_weights(tmp_path), tmp_path / "weights.safetensors")
    return tmp_path / "work"


def denoise(*arguments: Path | str) -> int:
    return run(["denoise", *map(str, arguments), "--weights", "../weights.safetensors"])


def piped(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [*GTCRN, "denoise", *arguments, "--weights", "../weights.safetensors"]
    return subprocess.run(command, input=data, capture_output=True)


def write(path: Path, seconds: float = 0.2, rate: int = 16_000, channels: int = 1, **form: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(int(seconds * rate), channels).T, rate, **form)
    return path


def names(folder: Path | str) -> list[str]:
    """All files below, by their names from there."""
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def lines(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What was said on standard error; nothing else was printed."""
    out, err = capfd.readouterr()
    assert out == ""
    return err.splitlines()


def only_line(capfd: pytest.CaptureFixture[str]) -> str:
    """What was printed, which is one line on standard error."""
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("gtcrn: ")
    return err


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
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    folder: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    (folder / "empty").mkdir()
    for name in ("a.wav", "b.wav", "sub/a.wav"):
        write(folder / name)
    os.link("a.wav", "link.wav")
    write(folder / "low.wav", rate=4_000)
    before = names(".")
    assert denoise(*arguments) == 2
    assert sentence.lower() in only_line(capfd).lower()
    assert names(".") == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["denoise", "a.wav", "--weights", "none.safetensors"], "no weights at none.safetensors"),
        (["denoise", "a.wav", "--weights", "a.wav"], "damaged or not a safetensors file"),
        (["nonsense"], "No such command 'nonsense'. See gtcrn --help."),
        (["info", "--weights"], "No such option: --weights. See gtcrn --help."),
        (["info", "none.wav"], "there is no file none.wav"),
    ],
)
def test_other_mistakes_are_one_line_too(
    folder: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    write(folder / "a.wav")
    assert run(arguments) == 2
    assert sentence in only_line(capfd)


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


def test_a_name_that_is_no_text_does_not_stop_the_others(folder: Path) -> None:
    write(folder / "in" / "a.wav")
    os.link("in/a.wav", b"in/\xff.wav")
    process = piped("in", "-o", "out")
    assert "a.wav" in os.listdir("out")
    assert b"Traceback" not in process.stderr


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


def test_info_about_audio_and_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "a.flac", 0.5, 44_100, 2)
    assert run(["info", "a.flac"]) == 0
    assert re.search(r"FLAC PCM_16\n.*44100 Hz\nchannels +2\nlength +0.500 s, 22050 samples", capsys.readouterr().out)
    assert run(["info", "../weights.safetensors"]) == 0
    assert random_denoiser().fingerprint in capsys.readouterr().out


def test_info_layers_counts_what_is_published(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", "--layers"]) == 0
    assert "23,669" in capsys.readouterr().out


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert re.fullmatch(r"gtcrn \d+\.\d+\.\d+\n", capsys.readouterr().out)
    for arguments in ([], ["--help"]):
        assert run(arguments) == 0
        found = capsys.readouterr().out
        for command in ("denoise", "info", "bench", "prepare", "train", "evaluate", "serve"):
            assert command in found


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_terminal_sees_a_bar_with_speed_and_end(folder: Path, jobs: str) -> None:
    for name in ("a.wav", "b.wav"):
        write(folder / "in" / name, 20.0)
    ours, theirs = pty.openpty()
    command = [*GTCRN, "denoise", "in", "-o", "out", "--jobs", jobs, "--weights", "../weights.safetensors"]
    seen = b""
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.PIPE) as process:
        assert process.stdout
        os.close(theirs)
        with contextlib.suppress(OSError):  # how a terminal ends
            while piece := os.read(ours, 1 << 16):
                seen += piece
        assert process.stdout.read() == b""
    assert process.returncode == 0
    assert re.search(r"2 files.*100%.*\d+x real time.*0:00:00", seen.decode(errors="replace"), re.DOTALL)


def test_denoising_starts_without_what_it_does_not_need(folder: Path) -> None:
    write(folder / "a.wav")
    script = (
        "import sys; from gtcrn.cli.app import run; code = run(['denoise', 'a.wav', '-o', 'b.wav'])\n"
        "heavy = {'typer', 'click', 'pydantic', 'rich', 'multiprocessing', 'importlib.metadata', 'hashlib'}\n"
        "sys.exit(code or ', '.join(heavy & set(sys.modules)) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "module", "extra"),
    [
        (["train", "quick"], "torch", "train"),
        (["info", "--layers"], "torch", "train"),
        (["export"], "torch", "export"),
        (["serve"], "fastapi", "serve"),
        (["evaluate", "--noisy", "in", "--metrics", "ovrl"], "speechmos", "eval"),
        (["evaluate", "--noisy", "in"], "soxr", "eval"),
        (["prepare", "out", "--speech", "in"], "soxr", "train"),
        (["prepare", "out", "--simulate-rooms", "1"], "pyroomacoustics", "rooms"),
        (["weights", "export", "gtcrn"], "torch", "export"),
        (["live", "--list-devices"], "sounddevice", "live"),
    ],
)
def test_a_missing_extra_is_exit_code_2_and_how_to_install_it(
    folder: Path, arguments: list[str], module: str, extra: str
) -> None:
    write(folder / "in" / "a.wav")
    script = f"import sys; sys.modules['{module}'] = None; from gtcrn.cli.app import run; sys.exit(run({arguments}))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 2
    assert f"{module}" in result.stderr
    assert result.stderr.endswith(f"pip install 'gtcrn[{extra}]'.\n")
    assert result.stderr.count("\n") == 1


def test_no_line_of_help_is_cut(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["--help"]) == 0
    assert "..." not in capsys.readouterr().out.split("Commands:")[1]


def test_info_prints_scores_readably(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["info"]) == 0
    found = capsys.readouterr().out
    assert re.search(r"^scores +si_sdr \d+\.\d{3}, pesq \d\.\d{3}, estoi 0\.\d{3}$", found, re.MULTILINE)
    assert max(map(len, found.splitlines())) <= 80


def test_options_are_completed_by_the_shell() -> None:
    words = {"_GTCRN_COMPLETE": "complete_bash", "COMP_WORDS": "gtcrn denoise --sk", "COMP_CWORD": "2"}
    found = subprocess.run(GTCRN, env={**os.environ, **words}, capture_output=True, text=True)
    assert found.stdout.split() == ["--skip-existing"]


def test_help_has_a_short_name_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ([], ["denoise"], ["info"], ["train"], ["weights", "export"]):
        with contextlib.suppress(SystemExit):
            assert run([*command, "-h"]) == 0
        assert "usage" in capsys.readouterr().out.lower()


def test_commands_start_without_what_they_do_not_need() -> None:
    script = (
        "import sys; from gtcrn.cli.commands import application; application()\n"
        "sys.exit(bool({'torch', 'matplotlib', 'scipy', 'fastapi', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


@pytest.mark.parametrize(("channels", "rate"), [(256, 16_000), (1, 250_000)])
def test_what_ends_an_encoder_is_refused_before_it_and_stops_no_other(folder: Path, channels: int, rate: int) -> None:
    write(folder / "in" / "bad.wav", 0.01, rate, channels)
    write(folder / "in" / "good.wav")
    result = piped("in", "-o", "out", "--format", "ogg", "--jobs", "2")
    assert result.returncode == 2
    assert result.stderr.count(b"\n") == 2
    assert names("out") == ["good.ogg"]


@pytest.mark.parametrize(("name", "subtype"), [("opus", "OPUS"), ("ogg", "VORBIS"), ("vorbis", "VORBIS")])
def test_a_codec_may_be_named_in_place_of_its_container(folder: Path, name: str, subtype: str) -> None:
    write(folder / "a.wav")
    assert denoise("a.wav", "-o", f"out.{name}", "--format", name) == denoise("a.wav", "--format", name) == 0
    assert soundfile.info(f"out.{name}").subtype == subtype
    assert names(".") == ["a.denoised.opus" if name == "opus" else "a.denoised.ogg", "a.wav", f"out.{name}"]


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
    write(folder / "a.wav").chmod(0)
    if os.geteuid():  # to root all is readable
        assert denoise("a.wav") == 1
        assert "permission denied" in only_line(capfd)
        (folder / "closed").mkdir(0)
        assert denoise("closed", "-o", "out") == 1
        assert only_line(capfd) == "gtcrn: closed: Permission denied.\n"
