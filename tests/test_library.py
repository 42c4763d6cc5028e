"""libgtcrn as its users have it: built by make, installed, linked by the example, held against Python's stream."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streams import noise

import gtcrn
from gtcrn import kernel
from gtcrn.audio.pcm import PcmFormat

KERNEL = Path(kernel.__file__).parent
EXAMPLES = KERNEL.parent / "ports" / "examples"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("make"), reason="no make")]


def install(folder: Path) -> Path:
    """Build and install under `folder`; where the library is then."""
    settings = {
        "PYTHON": sys.executable,
        "BUILD": str(folder / "build"),
        "PREFIX": str(folder / "usr"),
        "CFLAGS": "-O2",
    }
    command = ["make", "-C", str(KERNEL), "install", *(f"{name}={value}" for name, value in settings.items())]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder / "usr"


def flags(prefix: Path, *options: str) -> str:
    """What pkg-config says of the installed library."""
    places = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    return subprocess.run(
        ["pkg-config", *options, "gtcrn"], env=places, check=True, capture_output=True, text=True
    ).stdout


def check_against_python(
    command: list[Path | str], rate: int, channels: int, highs: bool = False, **environment: Any
) -> None:
    data, _ = PcmFormat(rate, channels, "s16le").encode(noise(rate // 4, channels))
    result = subprocess.run(
        [*command, str(rate), str(channels), "20", str(int(highs))],
        input=data,
        capture_output=True,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stderr
    stream = gtcrn.load().stream(rate, channels, attenuation_limit=20, keep_highs=highs)
    wanted = np.frombuffer(stream.push_pcm16(data) + stream.flush_pcm16(), "<i2").astype(int)
    np.testing.assert_allclose(np.frombuffer(result.stdout, "<i2"), wanted, rtol=0, atol=1)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("library"))


def compile_example(language: str, prefix: Path, program: Path) -> None:
    """As the head of each example says."""
    headers, libraries = flags(prefix, "--cflags"), flags(prefix, "--libs")
    source = str(EXAMPLES / f"denoise.{language}")
    parts = [source, *libraries.split(), "-o", str(program)]
    commands = {
        "c": ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", *headers.split(), *parts],
        "rs": ["rustc", "-O", "-D", "warnings", *parts],
        "go": ["go", "build", "-o", str(program), source],
    }
    places = {"CGO_CFLAGS": headers, "CGO_LDFLAGS": libraries, "GOCACHE": str(program.with_name("cache"))}
    subprocess.run(commands[language], env={**os.environ, **places}, check=True)


@pytest.mark.skipif(not shutil.which("pkg-config"), reason="no pkg-config")
@pytest.mark.parametrize(
    ("language", "compiler"),
    [("c", "cc"), *(pytest.param(*pair, marks=pytest.mark.cross) for pair in (("rs", "rustc"), ("go", "go")))],
)
def test_the_example_links_the_installed_library(tmp_path: Path, prefix: Path, language: str, compiler: str) -> None:
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    program = tmp_path / "denoise"
    compile_example(language, prefix, program)
    for rate, channels, highs in ((16_000, 1, False), (44_100, 2, False), (48_000, 1, True)):
        check_against_python([program], rate, channels, highs, LD_LIBRARY_PATH=str(prefix / "lib"))
    found = {"LD_LIBRARY_PATH": str(prefix / "lib")}
    for wrong in (["1", "1"], ["16000"], ["16000", "1", "-3"], ["16000", "1", "much"]):
        assert subprocess.run([program, *wrong], env=found, stdin=subprocess.DEVNULL).returncode == 2
    folder = os.open(tmp_path, os.O_RDONLY)
    assert subprocess.run([program, "16000", "1"], env=found, stdin=folder).returncode == 1
    os.close(folder)
    with open("/dev/full", "w") as full:
        assert subprocess.run([program, "16000", "1"], env=found, input=bytes(64_000), stdout=full).returncode == 1


def test_what_is_of_another_version_or_compiler_is_made_anew(prefix: Path, tmp_path: Path) -> None:
    """A block of parameters as layout.h was would be read beyond its end."""
    build = shutil.copytree(prefix.parent / "build", tmp_path / "build")

    def made(target: str, *options: str) -> str:
        command = [
            "make",
            "-C",
            str(KERNEL),
            f"BUILD={build}",
            f"PYTHON={sys.executable}",
            *options,
            f"{build}/{target}",
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    for target, sign, news in (
        ("built_in.c", "gtcrn.kernel.embed", ("-n", "-W", "layout.h")),
        ("avx2_32.o", "-c avx2_32.c", ("-W", "avx2.c")),
        ("weights.o", "-c weights.c", ("CFLAGS=-O1",)),
    ):
        made(target, "CFLAGS=-O2")
        assert sign not in made(target, "CFLAGS=-O2")
        assert sign in made(target, "CFLAGS=-O2", *news)


def test_a_block_of_another_length_is_not_taken(prefix: Path, tmp_path: Path) -> None:
    shutil.copytree(prefix.parent / "build", tmp_path / "build")
    block = tmp_path / "build" / "built_in.c"
    block.write_text(block.read_text().replace("count = ", "count = 1 + "))
    settings = [f"BUILD={tmp_path / 'build'}", f"PYTHON={sys.executable}", "CFLAGS=-O2"]
    library = str(tmp_path / "build" / "libgtcrn.a")
    subprocess.run(["make", "-C", str(KERNEL), *settings, library], check=True, capture_output=True)
    parts = [f"-I{KERNEL}", str(EXAMPLES / "denoise.c"), library, "-lm", "-o", str(tmp_path / "denoise")]
    subprocess.run(["cc", *parts], check=True)
    assert subprocess.run([tmp_path / "denoise", "16000", "1"], stdin=subprocess.DEVNULL).returncode == 2


@pytest.mark.cross
@pytest.mark.skipif(not (shutil.which("pkg-config") and shutil.which("go")), reason="no pkg-config or go")
def test_the_collector_of_go_leaves_a_stream_at_work_alone(tmp_path: Path, prefix: Path) -> None:
    for source in (EXAMPLES / "denoise.go", Path(__file__).with_name("keep_alive_test.go")):
        shutil.copy(source, tmp_path)
    places = {"CGO_CFLAGS": flags(prefix, "--cflags"), "CGO_LDFLAGS": flags(prefix, "--libs")}
    found = {"LD_LIBRARY_PATH": str(prefix / "lib"), "GOCACHE": str(tmp_path / "cache")}
    command, environment = ["go", "test", "denoise.go", "keep_alive_test.go"], {**os.environ, **places, **found}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
