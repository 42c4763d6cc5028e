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
from commands import wait_for
from playwright.sync_api import Browser, Page, sync_playwright

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


@contextlib.contextmanager
def fresh_page(browser: Browser, url: str, script: str = "") -> Iterator[Page]:
    """A page with a context and a microphone of its own, on which nothing goes wrong; `script` runs in it first."""
    context = browser.new_context(permissions=["microphone"])
    page, complaints = context.new_page(), list[str]()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.add_init_script(script)
    page.goto(url)
    yield page
    context.close()
    assert complaints == []


def until_quieter(page: Page, levels: str, least: float, most: float) -> None:
    """Wait until the sound is so many dB quieter behind the denoiser; `levels` reads the level "before" or "after"."""

    def change() -> float:
        page.wait_for_timeout(50)  # lets the browser's events come in
        before, after = page.evaluate(f"() => ['before', 'after'].map({levels})")
        return float(before or "nan") - float(after or "nan")

    wait_for(lambda: least <= change() <= most)


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


class Site:
    """Pages of a folder, in a browser whose microphone plays a file."""

    def __init__(self, folder: Path, browser: Browser, address: str) -> None:
        self.folder = folder
        self._browser, self._address = browser, address

    def page(self, path: str = "index.html") -> contextlib.AbstractContextManager[Page]:
        """A page of its own, on which nothing goes wrong."""
        return fresh_page(self._browser, f"{self._address}/{path}")

    def call(self, function: str, *arguments: Any) -> Any:
        """What a function of web_page.mjs returns."""
        with self.page() as page:
            code = "async ([name, given]) => (await import('./web_page.mjs'))[name](...given)"
            return page.evaluate(code, [function, arguments])
