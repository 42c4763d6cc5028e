"""The README's commands and programs run as they are written."""

import os
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

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


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_command_that_ci_runs_is_there():
    assert re.search(r"^pip install -e '\.\[test\]' && pytest", README, re.MULTILINE)
