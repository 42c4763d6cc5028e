"""libgtcrn for other processors, built by a cross compiler and run by qemu: golden vectors and the drivers' promises.

64-bit ARM is what Raspberry Pi and Graviton are; 32-bit ARM shows that nothing leans on the size of a pointer.
"""

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

pytestmark = pytest.mark.cross


@dataclass(frozen=True)
class Machine:
    """A processor: the prefix of its tools in Debian, the name of its qemu, and what the compiler has to be told."""

    tools: str
    qemu: str
    flags: str = ""

    def missing(self) -> list[str]:
        return [name for name in ("make", f"{self.tools}-gcc", self.qemu) if not shutil.which(name)]

    def build(self, folder: Path) -> Path:
        """Make the library and link both drivers against it, statically; their folder."""
        settings = {"CC": f"{self.tools}-gcc", "AR": f"{self.tools}-ar", "CFLAGS": f"-O3 {self.flags}"}
        settings |= {"PYTHON": sys.executable, "BUILD": str(folder)}
        library = folder / "libgtcrn.a"
        run("make", "-C", SOURCES, library, *(f"{name}={value}" for name, value in settings.items()))
        for name in ("kernel_driver", "stream_driver"):
            source = Path(__file__).with_name(f"{name}.c")
            parts = (f"-I{SOURCES}", source, library, "-lm", "-o", folder / name)
            run(settings["CC"], "-std=c11", "-static", *self.flags.split(), *parts)
        return folder


MACHINES = {
    "aarch64": Machine("aarch64-linux-gnu", "qemu-aarch64"),
    "armv7": Machine("arm-linux-gnueabihf", "qemu-arm", "-mfpu=neon -Wno-psabi"),
}


def run(*command: str | Path) -> None:
    result = subprocess.run(list(command), capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, ""), f"{command}: {result.returncode}\n{result.stderr}"


@pytest.fixture(scope="module", params=MACHINES)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The program that runs another processor's, and the folder with both drivers."""
    name: str = request.param
    if missing := MACHINES[name].missing():
        pytest.skip(f"no {', '.join(missing)}")
    return MACHINES[name].qemu, MACHINES[name].build(tmp_path_factory.mktemp(name))


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
    wanted = denoiser(samples, rate, attenuation_limit=30)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
