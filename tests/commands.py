"""Commands in processes of their own, and what tests wait for."""

import subprocess
import sys
import time
from collections.abc import Callable

GTCRN = [sys.executable, "-m", "gtcrn"]
Process = subprocess.Popen[bytes]


def wait_for(condition: Callable[[], object], seconds: float = 90.0) -> None:
    """Until something holds that another thread or process brings about; fails when it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
