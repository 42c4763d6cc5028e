"""The plugins as their Makefiles build them."""

import subprocess
import sys
from pathlib import Path

from gtcrn import kernel

PORTS = Path(kernel.__file__).parents[1] / "ports"


def make(port: str, folder: Path, *targets: str) -> Path:
    """Build the port into a folder, which is returned; `targets` may be settings of make, too."""
    settings = [f"PYTHON={sys.executable}", f"BUILD={folder}", f"OUT={folder}", "CFLAGS=-O2"]
    subprocess.run(["make", "-C", str(PORTS / port), *settings, *targets], check=True, capture_output=True)
    return folder
