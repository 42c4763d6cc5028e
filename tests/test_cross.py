"""libgtcrn for other processors, built by a cross compiler and run by qemu: golden vectors and the drivers' promises.

64-bit ARM is what Raspberry Pi and Graviton are; 32-bit ARM shows that nothing leans on the size of a pointer, RISC-V
that nothing leans on vector instructions, musl that nothing leans on glibc. For macOS and Windows, which cannot be run
here, the library and its example are compiled and linked.
"""

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from golden_vectors import assert_equals_output, imported, spectrum
from streams import noise, random_denoiser

from gtcrn import kernel
from gtcrn.kernel.embed import as_bytes
from gtcrn.kernel.fold import fold

SOURCES = Path(kernel.__file__).parent
EXAMPLE = SOURCES.parent / "ports" / "examples" / "denoise.c"

pytestmark = pytest.mark.cross


@dataclass(frozen=True)
class Toolchain:
    """A compiler for another machine, its archiver, and what has to be told it."""

    compiler: str
    archiver: str
    flags: str = ""

    def missing(self) -> list[str]:
        if "ziglang" in self.compiler:
            return [] if importlib.util.find_spec("ziglang") else ["ziglang"]
        return [name for name in (self.compiler, self.archiver) if not shutil.which(name)]

    def library(self, folder: Path) -> Path:
        """The static library, made by make."""
        settings = {"CC": self.compiler, "AR": self.archiver, "CFLAGS": f"-O3 {self.flags}"}
        settings |= {"PYTHON": sys.executable, "BUILD": str(folder)}
        library = folder / "libgtcrn.a"
        run("make", "-C", SOURCES, library, *(f"{name}={value}" for name, value in settings.items()))
        return library

    def link(self, source: Path, library: Path, program: Path, *options: str) -> Path:
        parts = (f"-I{SOURCES}", source, library, "-lm", "-o", program)
        run(*self.compiler.split(), "-std=c11", *options, *self.flags.split(), *parts)
        return program


def zig(target: str) -> Toolchain:
    program = f"{sys.executable} -m ziglang"
    return Toolchain(f"{program} cc -target {target}", f"{program} ar")


def debian(name: str, flags: str = "") -> Toolchain:
    return Toolchain(f"{name}-gcc", f"{name}-ar", flags)


MACHINES = {  # and the program that runs their programs
    "aarch64": (debian("aarch64-linux-gnu"), "qemu-aarch64"),
    "armv7": (debian("arm-linux-gnueabihf", "-mfpu=neon -Wno-psabi"), "qemu-arm"),
    "riscv64": (debian("riscv64-linux-gnu"), "qemu-riscv64"),
    "musl": (Toolchain("musl-gcc", "ar"), "env"),
}
ABROAD = ["aarch64-macos", "x86_64-windows-gnu"]


def run(*command: str | Path) -> None:
    result = subprocess.run(list(command), capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, ""), f"{command}: {result.returncode}\n{result.stderr}"


def skip_without(*programs: str, missing: list[str]) -> None:
    if missing := [*missing, *(name for name in ("make", *programs) if not shutil.which(name))]:
        pytest.skip(f"no {', '.join(missing)}")


@pytest.fixture(scope="module", params=MACHINES)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The program that runs another processor's, and the folder with the drivers."""
    tools, emulator = MACHINES[request.param]
    skip_without(emulator, missing=tools.missing())
    folder = tmp_path_factory.mktemp(request.param)
    library = tools.library(folder)
    for name in ("kernel_driver", "stream_driver", "caller_driver"):
        tools.link(Path(__file__).with_name(f"{name}.c"), library, folder / name, "-static")
    return emulator, folder


@pytest.mark.parametrize("target", ABROAD)
def test_macos_and_windows_can_link_it(tmp_path: Path, target: str) -> None:
    tools = zig(target)
    skip_without(missing=tools.missing())
    program = tools.link(EXAMPLE, tools.library(tmp_path), tmp_path / "denoise.exe")
    head = program.read_bytes()[:4]
    assert head == b"\xcf\xfa\xed\xfe" if "macos" in target else head[:2] == b"MZ"


def test_the_kernel_equals_the_published_code(machine: tuple[str, Path], tmp_path: Path) -> None:
    qemu, drivers = machine
    fold(imported()).tofile(tmp_path / "params")
    spectrum().tofile(tmp_path / "input")
    files = (tmp_path / "params", tmp_path / "input", tmp_path / "out")
    run(qemu, drivers / "kernel_driver", "base", "process", *files, "5")
    assert_equals_output(np.fromfile(tmp_path / "out", np.complex64).reshape(spectrum().shape))


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2)])
def test_streams_keep_their_promises(machine: tuple[str, Path], tmp_path: Path, rate: int, channels: int) -> None:
    """Chunks, snapshots, damaged bytes and weights, as stream_driver.c checks them; and the same samples as here."""
    qemu, drivers = machine
    samples, denoiser = noise(rate // 8, channels), random_denoiser()
    (tmp_path / "weights").write_bytes(as_bytes(fold(denoiser.checkpoint)))
    samples.tofile(tmp_path / "in")
    files = (tmp_path / "weights", tmp_path / "in", tmp_path / "out")
    run(qemu, drivers / "stream_driver", *files, str(rate), str(channels), "20")
    found = np.fromfile(tmp_path / "out", np.float32).reshape(samples.shape)
    wanted = denoiser(samples, rate, attenuation_limit=30, keep_highs=True)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


def test_nothing_a_c_caller_gives_crashes_it(machine: tuple[str, Path], tmp_path: Path) -> None:
    qemu, drivers = machine
    (tmp_path / "weights").write_bytes(as_bytes(fold(random_denoiser().checkpoint)))
    run(qemu, drivers / "caller_driver", tmp_path / "weights", "10000")
