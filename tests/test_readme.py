"""The README's commands and programs run as they are written, in the order of the page, from a clean folder.

Only what a test machine lacks has a stand-in on the path: microphone, speakers (`gtcrn live` too), pip and time.
`gtcrn train` takes four steps, `gtcrn evaluate` computes one measure, the service listens on a free port and is there
when the next line runs.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import audio_trees
import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "recipes/README.md", "server/README.md")
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(bash|sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)

STAND_INS = {
    "pip": "exit 0",
    "pytest": "exit 0",
    "uv": 'shift && "$@"',
    "arecord": 'case "$*" in *"-t raw"*) head -c 96000 /dev/zero ;; *) cat samples/noisy.wav ;; esac',
    "aplay": "cat > /dev/null",
    "curl": '{curl} --retry 60 --retry-delay 1 --retry-connrefused -s "${{@//127.0.0.1:8000/127.0.0.1:{port}}}"',
    "gtcrn": """case "$1" in
        serve) {gtcrn} "$@" --port {port} > serve.log 2>&1 & echo $! > serve.pid ;;
        train) {gtcrn} "$@" --set=train.{{steps=4,warmup=1,batch=2,validate_every=2,log_every=1}} \\
            --set=train.{{select=si_sdr,score_every=0}} --device cpu ;;
        evaluate) {gtcrn} "$@" --metrics pesq --jobs 1 ;;
        live) exit 0 ;;
        *) {gtcrn} "$@" ;;
        esac""",
}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What a visitor has: the samples, some recordings of their own, and the programs; ends a service that runs."""
    from test_media import KINDS, make  # skips where PyAV is not installed

    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    for name in ("talk.mp4", "memo.m4a"):
        make(tmp_path / name, *KINDS[name])
    for index in range(60):  # a fiftieth of them can be held out
        audio_trees.save(tmp_path / f"my/speech/speaker{index}/a.wav", audio_trees.voice(seed=index))
        audio_trees.save(tmp_path / f"my/noise/{chr(97 + index // 26)}{chr(97 + index % 26)}.wav", audio_trees.hiss())
    for kind, loudness in (("clean", 0.0), ("noisy", 1.0)):
        audio_trees.save(tmp_path / f"my/test/{kind}/a.wav", audio_trees.voice() + loudness * audio_trees.hiss())
    programs = Path(sys.executable).parent
    found = {"curl": shutil.which("curl"), "gtcrn": programs / "gtcrn", "port": free_port()}
    (tmp_path / "bin").mkdir()
    for name, script in STAND_INS.items():
        (tmp_path / "bin" / name).write_text("#!/usr/bin/env bash\n" + script.format(**found) + "\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, (tmp_path / "bin", programs, os.environ["PATH"]))))
    yield tmp_path
    if (tmp_path / "serve.pid").is_file():
        os.kill(int((tmp_path / "serve.pid").read_text()), signal.SIGTERM)


def test_the_page_runs_from_top_to_bottom(folder: Path) -> None:
    printed = ""
    for language, block in BLOCK.findall(README):
        program = [sys.executable, "-c"] if language == "python" else ["bash", "-euo", "pipefail", "-c"]
        ran = subprocess.run([*program, block], cwd=folder, capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, f"{block}\n{ran.stderr}"
        printed += ran.stdout
        for output in re.findall(r"(?:-o|>) (\w[\w./-]*)", "" if language == "python" else block):
            assert (folder / output).stat().st_size > 1000, output
    assert re.search(r"SI-SDR .* dB to the noisy pairs: (below|as|better)", printed)
    assert "WB-PESQ" in printed


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / page).read_text()):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_the_command_that_ci_runs_is_there() -> None:
    assert re.search(r"^pip install -e '\.\[test\]' && pytest", README, re.MULTILINE)


def test_what_contributors_are_told_to_run_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for path in re.findall(r"(?:^|[ `(])((?:\.ci|tests|recipes|server|gtcrn)/[\w./]+)", text):
        assert (ROOT / path).exists(), path
