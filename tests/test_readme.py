"""The README's commands and programs run as they are written."""

import os
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of what the README's commands see, with the programs of this environment on the path."""
    if not (resources.files("gtcrn.weights") / "gtcrn.safetensors").is_file():
        pytest.skip("no weights are shipped yet")
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize("block", blocks("bash"))
def test_commands(folder, block):
    commands = block.replace("pip install -e . && ", "")
    subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=folder, check=True)
    for output in re.findall(r"(?:-o|>) (\w[\w./]*)", commands):
        assert (folder / output).stat().st_size > 1000


@pytest.mark.parametrize("block", blocks("python"))
def test_programs(folder, block):
    subprocess.run([sys.executable, "-c", block], cwd=folder, check=True)


def test_train_your_own(folder):
    """As it is written, but for fewer steps and metrics."""
    for take in range(10):
        write(folder / "my" / "speech" / f"speaker{take}" / "0.wav", take % 4, take)
        write(folder / "my" / "noise" / f"{take}.wav", 4, take)
    write(folder / "my" / "test" / "clean" / "a.wav", 1, 0)
    write(folder / "my" / "test" / "noisy" / "a.wav", 1, 0, 0.05)
    block = next(block for block in blocks("sh") if "gtcrn train quick" in block)
    commands = block.replace("pip install -e '.[train]'", "true")
    shorter = {"train quick": "--set train.steps=2 --set train.validate_every=2", "evaluate": "--metrics pesq --jobs 1"}
    for command, options in shorter.items():
        commands = commands.replace(f"gtcrn {command}", f"gtcrn {command} {options}")
    result = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert re.search(r"SI-SDR .* dB to the noisy pairs: (below|as|better)", result.stdout)
    assert "WB-PESQ" in result.stdout


def write(path, number, take, noise=0.0):
    """Four seconds: a buzz that comes and goes, with as much hiss as is asked for."""
    random, time = np.random.default_rng([number, take]), np.arange(64_000) / 16_000
    buzz = sum(np.sin(2 * np.pi * (90 + 20 * number) * k * time) / k for k in range(1, 12))
    loudness = 0.1 * np.clip(np.sin(2 * np.pi * 3 * time + take), 0, 1)
    samples = buzz * loudness if number < 4 else 0.1 * random.standard_normal(64_000)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples + noise * random.standard_normal(64_000), 16_000)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_command_that_ci_runs_is_there():
    assert re.search(r"^pip install -e '\.\[test\]' && pytest", README, re.MULTILINE)
