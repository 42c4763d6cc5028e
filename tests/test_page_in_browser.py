"""The service's page where the microphone is denoised in the browser itself, in a real one."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import soundfile
from ports import NO_WEB_COMPILER, PORTS, compiles_for_web
from streams import noise, random_denoiser

pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
pytest.importorskip("torch")
pytest.importorskip("fastapi")

from browsers import chromium, fresh_page, until_quieter
from serving import page_files, running, wait_for

KEEP_CONTEXT = """const { resume } = AudioContext.prototype;
AudioContext.prototype.resume = function () {
  window.context = this;
  return resume.call(this);
}"""
WATCH_HIGHS = """async () => {
  const { GtcrnWorkletNode } = await import("./browser/gtcrn.js");
  Object.defineProperty(GtcrnWorkletNode.prototype, "keepHighs", { set(keep) { window.keptHighs = keep; } });
}"""
BLOCKER = """registerProcessor("blocker", class extends AudioWorkletProcessor {
  process() {
    for (const end = Date.now() + 300; Date.now() < end; );
    return false;
  }
})"""
BLOCK = """async () => {
  await context.audioWorklet.addModule("blocker.js");
  new AudioWorkletNode(context, "blocker").connect(context.destination);
}"""
METERS = "id => document.getElementById(`${id}-level`).dataset.decibels"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("make"), reason="no make"),
    pytest.mark.skipif(not compiles_for_web(), reason=NO_WEB_COMPILER),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """A browser, and a service whose weights are random and take little away; the browser has the shipped ones."""
    folder = tmp_path_factory.mktemp("page")
    soundfile.write(folder / "noisy.wav", noise(5 * 48_000), 48_000, subtype="PCM_16")
    with page_files(folder) as files:
        made = [f"PYTHON={sys.executable}", f"BUILD={folder / 'build'}", f"PAGE={files / 'browser'}"]
        subprocess.run(["make", "-C", PORTS / "web", "page", *made], check=True, capture_output=True)
        (files / "blocker.js").write_text(BLOCKER)
        with running(random_denoiser()) as service, chromium(folder / "noisy.wav") as browser:
            yield browser, service.http


@pytest.fixture
def page(place: tuple[Any, str]) -> Iterator[Any]:
    with fresh_page(*place, KEEP_CONTEXT) as page:
        yield page


def test_a_microphone_is_denoised_in_the_browser_and_back_in_the_service(page: Any) -> None:
    page.click("#start")
    until_quieter(page, METERS, 2, 15)
    page.click("#place")
    until_quieter(page, METERS, 25, 80)
    assert page.inner_text("#status") == "Listening at 44.1 kHz. Switch Denoise to compare."
    page.click("#denoise")
    until_quieter(page, METERS, -1, 1)
    page.evaluate(WATCH_HIGHS)
    page.click("#highs")
    wait_for(lambda: page.evaluate("() => window.keptHighs === true"))
    page.click("#start")
    wait_for(lambda: "s denoised" in page.inner_text("#status"))


def test_gaps_are_those_of_the_audio_thread_since_the_start(page: Any) -> None:
    """It is held up for 0.3 s, which is more than any sound card bridges."""

    def gaps() -> float:
        text = page.inner_text("#gaps")
        return int(text) if text.isdigit() else float("nan")

    page.click("#place")
    page.click("#start")
    wait_for(lambda: gaps() >= 0)
    before = gaps()
    page.evaluate(BLOCK)
    wait_for(lambda: gaps() > before)
    held_up = gaps()
    page.click("#start")
    wait_for(lambda: "s denoised" in page.inner_text("#status"))
    page.click("#start")
    wait_for(lambda: gaps() < held_up)
