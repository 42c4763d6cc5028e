"""The npm package as its users have it: built by make, packed, installed, and held against Python's stream."""

import gzip
import importlib.util
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from streams import noise

import gtcrn
from gtcrn import kernel

ROOT = Path(__file__).resolve().parent.parent
WEB = Path(kernel.__file__).parents[1] / "ports" / "web"
MOST_BYTES = 110_000  # of the compressed denoiser


def compiles() -> bool:
    """Whether zig is here, or Debian's clang for WebAssembly."""
    clang = all(map(shutil.which, ("clang", "wasm-ld"))) and Path("/usr/lib/wasm32-wasi/libc.a").exists()
    return clang or importlib.util.find_spec("ziglang") is not None


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(shutil.which, ("make", "node", "npm"))), reason="no make, Node.js or npm"),
    pytest.mark.skipif(not compiles(), reason="no compiler for WebAssembly (clang with lld and wasi-libc, or ziglang)"),
]


def run(*command: str | Path, folder: Path, data: bytes = b"") -> bytes:
    result = subprocess.run(list(command), cwd=folder, input=data, capture_output=True)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's folder."""
    folder = tmp_path_factory.mktemp("package")
    settings = [f"PYTHON={sys.executable}", f"BUILD={folder.parent / 'build'}", f"OUT={folder}"]
    run("make", "-C", WEB, *settings, folder=folder)
    return folder


@pytest.fixture(scope="session")
def project(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has it installed."""
    folder = tmp_path_factory.mktemp("project")
    packed = json.loads(run("npm", "pack", "--json", "--pack-destination", folder, folder=package))[0]["filename"]
    (folder / "package.json").write_text('{"private": true}')
    run("npm", "install", "--offline", "--no-audit", "--no-fund", folder / packed, folder=folder)
    return folder


def test_the_denoiser_is_one_small_file_without_imports(package: Path) -> None:
    path = package / "gtcrn.wasm"
    assert len(gzip.compress(path.read_bytes(), 9)) <= MOST_BYTES
    asked = (
        "const { readFileSync } = require('fs'); const code = new WebAssembly.Module(readFileSync(process.argv[1]));"
    )
    say = "process.stdout.write(JSON.stringify(WebAssembly.Module.imports(code)))"
    assert json.loads(run("node", "-e", asked + say, path, folder=package)) == []


def test_the_package_has_what_it_names_and_the_project_s_version(project: Path) -> None:
    installed = project / "node_modules" / "gtcrn"
    about = json.loads((installed / "package.json").read_text())
    assert about["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    exported = [
        place
        for entry in about["exports"].values()
        for place in (entry.values() if isinstance(entry, dict) else [entry])
    ]
    for name in [*about["files"], *exported, "README.md", "LICENSE"]:
        assert (installed / name).exists(), name


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (48_000, 1)])
def test_a_stream_in_node_gives_what_python_gives(project: Path, rate: int, channels: int) -> None:
    script = shutil.copy(Path(__file__).with_name("web_stream.mjs"), project)
    samples = noise(rate, channels)
    found = run("node", script, str(rate), str(channels), "30", folder=project, data=samples.tobytes())
    wanted = gtcrn.load()(samples, rate, attenuation_limit=30)
    np.testing.assert_allclose(np.frombuffer(found, np.float32).reshape(samples.shape), wanted, rtol=0, atol=1e-6)


def test_nothing_that_is_done_to_a_stream_breaks_it_or_makes_a_quantum_allocate(project: Path) -> None:
    """Rates and channels that are not served, NaN, no samples, other types, ends without a beginning."""
    run("node", Path(__file__).with_name("web_driver.mjs"), project, folder=project)
