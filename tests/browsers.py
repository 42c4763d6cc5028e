"""Chromium for tests, with a microphone that plays a file."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

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
