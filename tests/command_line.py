"""The command line as tests type it, in this process or one of its own, and what it printed."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import soundfile
from commands import GTCRN
from streams import noise

from gtcrn.cli.app import run


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
