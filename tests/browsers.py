"""Chromium for tests, with a microphone that plays a file, and pages for it."""

import contextlib
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--host-resolver-rules=MAP gtcrn.test 127.0.0.1",
]


@contextlib.contextmanager
def chromium(recording: Path) -> Iterator[Browser]:
    """A browser until the block ends; permission to use the microphone is each context's own."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("needs Chromium")
    microphone = f"--use-file-for-fake-audio-capture={recording}"
    with (
        sync_playwright() as driver,
        driver.chromium.launch(executable_path=program, args=[*FLAGS, microphone]) as browser,
    ):
        yield browser


class Handler(SimpleHTTPRequestHandler):
    """Without a line in the log for each file."""

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of its files until the block ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
