"""Commands in processes of their own, and what tests wait for."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

GTCRN = [sys.executable, "-m", "gtcrn"]
Process = subprocess.Popen[bytes]
PATIENCE = 90.0  # seconds that things may take on a machine that is busy with other work


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Until something holds that another thread or process brings about; fails when it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """The same for what this thread's event loop brings about meanwhile."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)


def children(pid: int) -> list[int]:
    """The processes that it has started and that are there still."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it has ended since the list was made
            found += map(int, task.read_text().split())
    return found


def command_line(pid: int) -> bytes:
    """Of a process, nothing where there is none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
