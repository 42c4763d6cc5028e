"""The pages' commands and programs run as they are written, in the order of the page, from a clean folder."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from visitor import ROOT, programs, visit_kernel, visit_project, visit_recipes, visit_service

PAGES = [
    "README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "gtcrn/kernel/README.md", "gtcrn/ports/README.md",
    "gtcrn/ports/web/README.md", "gtcrn/weights/gtcrn.md", "gtcrn/weights/large.md", "recipes/README.md",
    "recipes/RESULTS.md", "recipes/SETTINGS.md", "server/README.md", "server/PROTOCOL.md", "server/deploy/SCALING.md",
]  # fmt: skip
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(bash|sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty one, with the programs on the path, and at home there; ends the services that run, all of a page."""
    bin = programs(tmp_path / "bin", port)
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, (bin, Path(sys.executable).parent, os.environ["PATH"]))))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GTCRN_SHARED", raising=False)  # of these tests, no setting of the service
    yield tmp_path
    started = tmp_path / "serve.pid"
    for number in started.read_text().split() if started.exists() else ():
        with contextlib.suppress(ProcessLookupError):  # all but the first found the port taken
            os.kill(int(number), signal.SIGTERM)


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
@pytest.mark.parametrize(
    ("page", "visit", "printed"),
    [
        pytest.param(
            "README.md",
            visit_project,
            ("SI-SDR .* dB to the noisy pairs: (below|as|better)", "WB-PESQ"),
            marks=pytest.mark.pages,
        ),
        ("server/README.md", visit_service, ()),
        pytest.param("gtcrn/kernel/README.md", visit_kernel, (), marks=pytest.mark.pages),
        pytest.param("recipes/README.md", visit_recipes, ("WB-PESQ", "OVRL"), marks=pytest.mark.pages),
    ],
)
def test_the_page_runs_from_top_to_bottom(
    folder: Path, port: int, page: str, visit: Callable[[Path], None], printed: tuple[str, ...]
) -> None:
    visit(folder)
    said = ""
    text = (ROOT / page).read_text().replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    for language, block in BLOCK.findall(text):
        program = [sys.executable, "-c"] if language == "python" else ["bash", "-euo", "pipefail", "-c"]
        given = (folder / "noisy.s16").read_bytes() if (folder / "noisy.s16").exists() else b""
        ran = subprocess.run([*program, block], cwd=folder, input=given, capture_output=True, timeout=600)
        assert ran.returncode == 0, f"{block}\n{ran.stderr.decode()}"
        said += ran.stdout.decode(errors="replace")
        for output in re.findall(r"(?:-o|>) (\w[\w./-]*)", "" if language == "python" else block):
            assert (folder / output).stat().st_size > 1000, output
    for pattern in printed:
        assert re.search(pattern, said), pattern


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", (ROOT / page).read_text()):
        path, _, heading = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        assert not heading or heading in headings(file), target


def headings(page: Path) -> set[str]:
    """As links name them: in small letters, without punctuation, with hyphens for spaces."""
    lines = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}


def test_the_command_that_ci_runs_is_there() -> None:
    assert re.search(r"^pip install -e '\.\[test\]' && pytest", README, re.MULTILINE)


def test_what_contributors_are_told_to_run_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for path in re.findall(r"(?:^|[ `(])((?:\.ci|tests|recipes|server|gtcrn)/[\w./]+)", text):
        assert (ROOT / path).exists(), path
