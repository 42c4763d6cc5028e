"""`gtcrn denoise --ray` up to the point where Ray comes in."""

import subprocess
import sys
from pathlib import Path

import pytest
from audio_trees import save, voice

from gtcrn.cli.app import run
from gtcrn.cli.arguments import parser, with_address


@pytest.mark.parametrize(
    ("typed", "address", "inputs"),
    [
        (["in", "--ray"], "", ["in"]),
        (["--ray", "in"], "", ["in"]),
        (["--ray", "10.0.0.1:6379", "in"], "10.0.0.1:6379", ["in"]),
        (["--ray", "ray://head.example:10001", "in", "b:c"], "ray://head.example:10001", ["in", "b:c"]),
        (["in", "--ray", "[::1]:6379"], "[::1]:6379", ["in"]),
        (["in", "--ray", "auto"], "auto", ["in"]),
        (["in", "--ray=auto"], "auto", ["in"]),
        (["--ray", "s3://bucket/in"], "", ["s3://bucket/in"]),
        (["in"], None, ["in"]),
    ],
)
def test_an_input_is_never_taken_for_the_address(typed: list[str], address: str | None, inputs: list[str]) -> None:
    asked = parser().parse_intermixed_args(with_address(typed))
    assert (asked.ray, asked.inputs) == (address, inputs)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-", "--ray"], "--ray is for files"),
        (["a.wav", "--manifest", "m"], "--manifest goes with --ray"),
        (["a.wav", "--score"], "--score goes with --ray"),
        (["a.wav", "--ray=nowhere:x"], "nowhere:x is no address of Ray"),
        (["gone/*.wav", "--ray"], "no file matches 'gone/*.wav'."),
    ],
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "a.wav", voice(0.1))
    assert run(["denoise", *arguments]) == 2
    err = capfd.readouterr().err
    assert err.startswith(f"gtcrn: {said}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("ray", ["denoise", "a.wav", "--ray"]),
        ("pyarrow", ["denoise", "a.wav", "--ray"]),
        ("ray", ["prepare", "out", "--ray", "--noise", "."]),
    ],
)
def test_without_ray_it_says_what_to_install(tmp_path: Path, package: str, arguments: list[str]) -> None:
    save(tmp_path / "a.wav", voice(0.1))
    program = f"import sys; sys.modules[{package!r}] = None; from gtcrn.cli.app import run; run(sys.argv[1:])"
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr == f"gtcrn: this needs the package {package}: pip install 'gtcrn[cluster]'.\n"
