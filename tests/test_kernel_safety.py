"""The kernel's C under sanitizers and valgrind, every instruction set that the processor has, against the extension."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import random_network
from numpy.typing import NDArray
from streams import noise, random_denoiser

from gtcrn import checkpoint, kernel
from gtcrn.config import GTCRNConfig
from gtcrn.kernel.embed import as_bytes
from gtcrn.kernel.fold import fold

SOURCES = Path(kernel.__file__).parent
FLAGS = ["-std=c11", "-g", "-ffp-contract=fast", "-fno-math-errno", "-Wall", "-Wextra", "-Werror", "-Wno-psabi"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1"]
HOP = 256  # samples
ABSENT = 77  # exit code of the driver where the processor lacks the instruction set

pytestmark = [pytest.mark.sanitizers, pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")]


def compile_c(target: Path, *arguments: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["cc", *FLAGS, *arguments, "-o", target, "-lm"], capture_output=True, text=True)


def build_drivers(folder: Path, *flags: str) -> Path:
    """The drivers around one compilation of the kernel, in `folder`, which is returned."""
    folder.mkdir()
    sources = [path for path in SOURCES.glob("*.c") if not re.search(r'"(binding|stream_type)\.h"', path.read_text())]
    command = ["cc", *FLAGS, *flags, "-c", *map(str, sources)]
    subprocess.run(command, cwd=folder, check=True)
    for driver in ("kernel_driver", "stream_driver", "caller_driver"):
        source = Path(__file__).with_name(f"{driver}.c")
        result = compile_c(folder / driver, *flags, f"-I{SOURCES}", source, *folder.glob("*.o"))
        assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parameters, and spectra and samples, ordinary and absurd, as files."""
    folder, rng = tmp_path_factory.mktemp("driver"), np.random.default_rng(0)
    for channels in kernel.SIZES:
        params = fold(checkpoint.from_model(random_network(config=GTCRNConfig(channels=channels))))
        params.tofile(folder / f"params {channels}")
        (folder / f"weights {channels}").write_bytes(as_bytes(params))
    parts = rng.standard_normal((2, 45, kernel.BINS))
    (parts[0] + 1j * parts[1]).astype(np.complex64).tofile(folder / "ordinary")
    values = np.array([0, 1e-42, 1e38, np.inf, -np.inf, np.nan])
    rng.choice(values, (45, kernel.BINS)).astype(np.complex64).tofile(folder / "absurd")
    rng.standard_normal((46, HOP)).astype(np.float32).tofile(folder / "samples")
    rng.choice(values, (46, HOP)).astype(np.float32).tofile(folder / "absurd samples")
    return folder


@pytest.fixture(scope="module")
def sanitized(folder: Path) -> Path:
    (folder / "empty.c").write_text("int main(void) { return 0; }\n")
    if compile_c(folder / "empty", *SANITIZERS, folder / "empty.c").returncode:
        pytest.skip("the C compiler has no sanitizers")
    return build_drivers(folder / "sanitized", *SANITIZERS)


@pytest.fixture(scope="module")
def plain(folder: Path) -> Path:
    return build_drivers(folder / "plain", "-O3")


def run(command: list[Path | str], folder: Path, variant: str, name: str, channels: int = 16) -> NDArray[Any]:
    files = (folder / f"params {channels}", folder / name, folder / "out")
    entry = "enhance" if "samples" in name else "process"
    result = subprocess.run([*command, variant, entry, *files, "20"], capture_output=True, text=True)
    if result.returncode == ABSENT:
        pytest.skip(f"this processor has no {variant}")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return np.fromfile(folder / "out", np.float32 if "samples" in name else np.complex64)


def expected(folder: Path, name: str, channels: int) -> NDArray[Any]:
    """What the extension makes of a file's content."""
    params = np.fromfile(folder / f"params {channels}", np.float32)
    state = kernel.new_state(params)
    if name == "samples":
        samples, overlap = np.fromfile(folder / name, np.float32), np.zeros(HOP, np.float32)
        out = np.empty_like(samples[HOP:])
        kernel.enhance(params, state, overlap, samples, out)
        return out
    spectrum = np.fromfile(folder / name, np.complex64)
    kernel.process(params, state, spectrum, spectrum)
    return spectrum


@pytest.mark.parametrize("variant", ["base", "avx2", "avx512"])
@pytest.mark.parametrize("build", ["plain", "sanitized"])
@pytest.mark.parametrize("name", ["ordinary", "samples"])
@pytest.mark.parametrize("channels", sorted(kernel.SIZES))
def test_every_instruction_set_agrees_and_is_clean(
    request: pytest.FixtureRequest, folder: Path, build: str, variant: str, name: str, channels: int
) -> None:
    wanted = expected(folder, name, channels)
    got = run([request.getfixturevalue(build) / "kernel_driver"], folder, variant, name, channels)
    assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("variant", ["base", "avx2", "avx512"])
def test_absurd_input_is_clean(sanitized: Path, folder: Path, variant: str) -> None:
    assert len(run([sanitized / "kernel_driver"], folder, variant, "absurd")) == 45 * kernel.BINS
    assert len(run([sanitized / "kernel_driver"], folder, variant, "absurd samples")) == 45 * HOP


@pytest.mark.skipif(not shutil.which("valgrind"), reason="no valgrind")
@pytest.mark.parametrize("variant", ["base", "avx2"])  # valgrind knows no AVX-512
def test_valgrind_has_nothing_to_say(plain: Path, folder: Path, variant: str) -> None:
    valgrind = ["valgrind", "--quiet", "--leak-check=full", "--error-exitcode=9"]
    for name in ("ordinary", "samples"):
        run([*valgrind, plain / "kernel_driver"], folder, variant, name)


STREAMS = [(16_000, 1, 16), (48_000, 2, 32), (8_001, 1, 16)]  # Hz, channels, and channels of the network


def run_stream(command: list[Path | str], folder: Path, rate: int, channels: int, network: int, mutations: int) -> None:
    """The driver's output, after it has kept the promises that it checks itself, and what Python makes of its input."""
    samples = noise(rate // 8, channels)
    samples.tofile(folder / "speech")
    files = (folder / f"weights {network}", folder / "speech", folder / "out")
    result = subprocess.run(
        [*command, *files, str(rate), str(channels), str(mutations)], capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")
    found = np.fromfile(folder / "out", np.float32).reshape(channels, -1)
    wanted = random_denoiser(channels=network)(samples, rate, attenuation_limit=30, keep_highs=True)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("build", ["plain", "sanitized"])
@pytest.mark.parametrize(("rate", "channels", "network"), STREAMS)
def test_streams_keep_their_promises_and_are_clean(
    request: pytest.FixtureRequest, folder: Path, build: str, rate: int, channels: int, network: int
) -> None:
    driver = request.getfixturevalue(build) / "stream_driver"
    run_stream([driver], folder, rate, channels, network, mutations=1_000 if build == "plain" else 20)


@pytest.mark.skipif(not shutil.which("valgrind"), reason="no valgrind")
def test_valgrind_has_nothing_to_say_of_streams(plain: Path, folder: Path) -> None:
    valgrind = ["valgrind", "--quiet", "--leak-check=full", "--error-exitcode=9"]
    run_stream([*valgrind, plain / "stream_driver"], folder, 8_000, 1, 32, mutations=4)


@pytest.mark.parametrize("build", ["plain", "sanitized"])
def test_nothing_a_c_caller_gives_crashes_it(request: pytest.FixtureRequest, folder: Path, build: str) -> None:
    """NaN, no samples, a million at once, 1 Hz, no channels, calls behind the end: refused or survived, and clean."""
    driver = request.getfixturevalue(build) / "caller_driver"
    result = subprocess.run([driver, folder / "weights 16", "1000000"], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
