"""`gtcrn evaluate` as a person calls it: mistakes in one line, the table, no clean files, no torch."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from audio_trees import pair_folders

from gtcrn.cli.app import run
from gtcrn_recipes import commands
from gtcrn_recipes.evaluation import evaluate as scoring


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """noisy/, clean/ and enhanced/."""
    return pair_folders(tmp_path_factory.mktemp("pairs"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--noisy", "{0}/none"], "there is no folder {0}/none."),
        (["--noisy", "{0}/noisy", "--metrics", "pesq"], "no metric 'pesq' without clean files"),
        (["--noisy", "{0}/noisy", "--clean", "{0}/clean", "--metrics", "mos"], "no metric 'mos'"),
        (["--noisy", "{0}/noisy", "--weights", "{0}/none.safetensors"], "none.safetensors"),
        (["--noisy", "{0}/noisy", "--weights", "w", "--enhanced", "{0}/enhanced"], "not both"),
    ],
)
def test_mistakes_are_one_line(
    folders: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert run(["evaluate", "--jobs", "1", *(a.format(folders) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert sentence.format(folders) in error
    assert error.count("\n") == 1


def test_the_command_prints_the_table(folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = [x for kind in ("noisy", "clean", "enhanced") for x in (f"--{kind}", str(folders / kind))]
    options = ["--metrics", "si_sdr", "--csv", str(tmp_path / "s.csv"), "--plots", str(tmp_path), "--jobs", "1"]
    assert run(["evaluate", *sides, *options]) == 0
    assert "SI-SDR dB" in capsys.readouterr().out
    assert (tmp_path / "by_snr.png").is_file()
    (tmp_path / "noisy").mkdir()
    (tmp_path / "noisy/broken.wav").write_bytes(b"RIFF")
    assert run(["evaluate", "--noisy", str(tmp_path / "noisy"), "--metrics", "ovrl", "--jobs", "1"]) == 2
    assert "not scored: broken" in capsys.readouterr().err


def test_the_shipped_weights_enhance_unless_others_are_given(folders: Path, tmp_path: Path) -> None:
    sides = [x for kind in ("noisy", "clean") for x in (f"--{kind}", str(folders / kind))]
    options = ["--metrics", "si_sdr", "--csv", str(tmp_path / "s.csv"), "--jobs", "1"]
    assert run(["evaluate", *sides, *options]) == 0
    assert "enhanced" in (tmp_path / "s.csv").read_text()


@pytest.mark.slow
def test_without_clean_files_dnsmos_is_scored(folders: Path) -> None:
    trial = scoring.find_trials(folders / "noisy")[0]
    assert scoring.evaluate([trial])[0].noisy.keys() == {"ovrl", "sig", "bak", "p808"}


def test_torch_is_not_needed() -> None:
    names = "evaluation.evaluate evaluation.scoreboard evaluation.plots data.prepare data.dataset data.fixed_pairs"
    modules = ", ".join(f"gtcrn_recipes.{name}" for name in ["commands", *names.split()])
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def documented(command: str) -> list[list[str]]:
    """Arguments of each call of `gtcrn command` in the training read-me."""
    text = (Path(__file__).parent.parent / "recipes/README.md").read_text()
    lines = [line.split("  #")[0] for line in text.splitlines() if line.startswith(f"gtcrn {command} ")]
    return [shlex.split(line)[2:] for line in lines]


@pytest.mark.parametrize("command", ["prepare", "evaluate", "train"])
def test_the_documented_calls_are_understood(command: str) -> None:
    app = typer.Typer()
    commands.register(app)
    parser = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    calls = documented(command)
    assert len(calls) >= 3
    for arguments in calls:
        assert parser.make_context(command, arguments).params
