"""What tests do with the demo page: what its microphone hears, pages in fresh contexts, what is seen on them."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from commands import PATIENCE
from playwright.sync_api import Browser, ConsoleMessage, Page, expect
from serving import Running

RATE = 48_000  # Hz
Open = Callable[..., Page]


def write_recording(path: Path) -> Path:
    """A second of tones in noise that sound the same at any moment, so that levels can be compared."""
    time = np.arange(RATE) / RATE
    tones = sum(np.sin(2 * np.pi * f * time) / f for f in range(200, 4000, 200))
    noise = np.random.default_rng(0).standard_normal(len(time))
    soundfile.write(path, 0.1 * noise + 10 * tones, RATE, subtype="PCM_16")
    return path


@contextlib.contextmanager
def pages(browser: Browser) -> Iterator[Open]:
    """Opens the page of a service in a fresh context; in the end no script has failed and nothing was logged."""
    complaints: list[str] = []
    contexts = []
    expect.set_options(timeout=1_000 * PATIENCE)

    def note(line: ConsoleMessage) -> None:
        if line.type in ("error", "warning"):
            complaints.append(line.text)

    def opened(service: Running, url: str = "", quiet: bool = True, **options: Any) -> Page:
        context = browser.new_context(**{"permissions": ["microphone"], **options})
        context.set_default_timeout(1_000 * PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if quiet:
            page.on("console", note)
        page.goto(url or service.http)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def colours(page: Page, name: str) -> Any:
    """How many different colours a spectrogram has."""
    return page.evaluate(
        """name => {
          const canvas = document.getElementById(name);
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size;
        }""",
        name,
    )
