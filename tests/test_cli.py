"""The commands as a person types them: help, mistakes, missing extras, info, and what starting costs."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import only_line, write
from commands import GTCRN
from streams import random_denoiser

import gtcrn
from gtcrn.cli.app import run


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


@pytest.mark.parametrize("command", ["info", "denoise"])
def test_samples_without_a_header_are_told(command: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "a.raw").write_bytes(bytes(64))
    assert run([command, "a.raw"]) == 2
    assert "without a header" in only_line(capfd)


def test_info_about_audio_and_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "a.flac", 0.5, 44_100, 2)
    assert run(["info", "a.flac"]) == 0
    assert re.search(r"FLAC PCM_16\n.*44100 Hz\nchannels +2\nlength +0.500 s, 22050 samples", capsys.readouterr().out)
    assert run(["info", "../weights.safetensors"]) == 0
    assert random_denoiser().fingerprint in capsys.readouterr().out


def test_info_about_a_name_that_standard_output_cannot_hold(folder: Path) -> None:
    os.rename(write(folder / "a.wav"), name := os.fsdecode(b"\xff.wav"))
    for encoding in ("utf-8:strict", "ascii:strict"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        found = subprocess.run([*GTCRN, "info", name], env=environment, capture_output=True)
        assert found.returncode == 0
        assert rb"\udcff.wav" in found.stdout


@pytest.mark.parametrize("name", ["gtcrn", "large"])
def test_info_about_shipped_weights_by_name(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", name]) == 0
    assert gtcrn.load(name).fingerprint in capsys.readouterr().out
    (folder / name).mkdir()
    assert run(["info", name]) == 2


@pytest.mark.parametrize(
    ("source", "parameters"), [([], "33,909"), (["large"], "119,765"), (["../weights.safetensors"], "23,669")]
)
def test_info_layers_counts_those_of_the_weights(
    source: list[str], parameters: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last has the published configuration and so its number."""
    assert run(["info", "--layers", *source]) == 0
    assert parameters in capsys.readouterr().out


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert re.fullmatch(r"gtcrn \d+\.\d+\.\d+\n", capsys.readouterr().out)
    for arguments in ([], ["--help"]):
        assert run(arguments) == 0
        found = capsys.readouterr().out
        for command in ("denoise", "info", "bench", "prepare", "train", "evaluate", "serve"):
            assert command in found


def test_denoising_starts_without_what_it_does_not_need(folder: Path) -> None:
    write(folder / "a.wav")
    script = (
        "import sys; from gtcrn.cli.app import run; code = run(['denoise', 'a.wav', '-o', 'b.wav'])\n"
        "heavy = {'typer', 'click', 'pydantic', 'rich', 'multiprocessing', 'importlib.metadata', 'hashlib'}\n"
        "sys.exit(code or ', '.join(heavy & set(sys.modules)) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_the_version_is_told_without_any_command() -> None:
    script = (
        "import sys; from gtcrn.cli.app import run; code = run(['--version'])\n"
        "sys.exit(code or bool({'typer', 'numpy'} & set(sys.modules)))"
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
        "heavy = {'torch', 'numpy', 'matplotlib', 'scipy', 'fastapi', 'pydantic', 'rich', 'multiprocessing'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
