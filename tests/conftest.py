"""What several test files share: reference data, a denoiser, a folder, the page in a browser, one thread for torch."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from demo_page import Open
    from playwright.sync_api import Browser
    from serving import Running

    from gtcrn import Denoiser

os.environ.setdefault("OMP_NUM_THREADS", "1")

try:
    import hypothesis
except ImportError:  # where only the core is tested
    pass
else:  # the same examples each time, however slow the machine is
    hypothesis.settings.register_profile(
        "here", deadline=None, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    hypothesis.settings.load_profile("here")


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


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of seconds to train on."""
    from tiny_data import make_data

    return make_data(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with weights.safetensors a level above it."""
    from streams import write_weights

    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    os.rename(write_weights(tmp_path), tmp_path / "weights.safetensors")
    return tmp_path / "work"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser's microphone hears."""
    from demo_page import write_recording

    return write_recording(tmp_path_factory.mktemp("page") / "noisy.wav")


@pytest.fixture(scope="module")
def browser(recording: Path) -> Iterator["Browser"]:
    """One browser for all tests of a file."""
    from browsers import chromium

    with chromium(recording) as browser:
        yield browser


@pytest.fixture
def open_page(browser: "Browser") -> Iterator["Open"]:
    """Opens the page of a service in a fresh context; in the end no script has failed and nothing was logged."""
    from demo_page import pages

    with pages(browser) as opened:
        yield opened


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, denoiser: "Denoiser") -> Iterator["Running"]:
    """A service with its page, and settings as they are."""
    from serving import page_files, running

    with page_files(tmp_path_factory.mktemp("page")), running(denoiser) as instance:
        yield instance


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
