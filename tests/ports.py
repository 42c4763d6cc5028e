"""The plugins as their Makefiles build them."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from gtcrn import Denoiser, kernel
from gtcrn.kernel.embed import rounded

PORTS = Path(kernel.__file__).parents[1] / "ports"

NO_WEB_COMPILER = "no compiler for WebAssembly (clang with lld and wasi-libc, or ziglang)"


def debian_compiles_for_web() -> bool:
    return all(map(shutil.which, ("clang", "wasm-ld"))) and Path("/usr/lib/wasm32-wasi/libc.a").exists()


def compiles_for_web() -> bool:
    """Whether zig is here, or Debian's clang for WebAssembly."""
    return debian_compiles_for_web() or importlib.util.find_spec("ziglang") is not None


def make(port: str, folder: Path, *targets: str) -> Path:
    """Build the port into a folder, which is returned; `targets` may be settings of make, too."""
    settings = [f"PYTHON={sys.executable}", f"BUILD={folder}", f"OUT={folder}", "CFLAGS=-O2"]
    subprocess.run(["make", "-C", str(PORTS / port), *settings, *targets], check=True, capture_output=True)
    return folder


def as_a_page_has_it(denoiser: Denoiser) -> Denoiser:
    """This one, with weights of 16 bits of precision."""
    vars(denoiser).update(params=rounded(denoiser.params))
    return denoiser
