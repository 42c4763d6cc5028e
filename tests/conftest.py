"""What several test files share: reference data, a denoiser, a folder to work in, and one thread for torch."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gtcrn import Denoiser

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference data that is not part of the repository; tests that need it skip where it is absent."""
    default = Path(__file__).resolve().parent.parent.parent / "shared"
    folder = Path(os.environ.get("GTCRN_SHARED", default))
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}; set GTCRN_SHARED")
    return folder


@pytest.fixture(scope="session")
def denoiser() -> "Denoiser":
    """Random weights: nothing of the service depends on the shipped ones."""
    from streams import random_denoiser  # torch must not be imported before the lines below have run

    return random_denoiser()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with weights.safetensors a level above it."""
    from streams import write_weights

    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    os.rename(write_weights(tmp_path), tmp_path / "weights.safetensors")
    return tmp_path / "work"


@pytest.fixture(scope="module")
def _ray() -> Iterator[None]:
    """A Ray for all tests that need no more of it than that it runs; its processes know the modules beside this one."""
    from gtcrn.cluster import connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        with connection.connected(None, 2):
            yield


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """A shell's background jobs ignore SIGINT, under nohup SIGHUP, and so would the commands that tests start."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Two test processes on two cores; torch is absent where only the core is tested."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
