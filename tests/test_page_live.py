"""The demo page while it listens: a microphone made of a WAV file, what is heard, seen and kept, and hosts that go."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
pytest.importorskip("torch")
pytest.importorskip("fastapi")

from demo_page import RATE, Open, colours
from playwright.sync_api import Page, expect
from serving import Running, running, wait_for
from streams import random_denoiser


def level(page: Page, name: str) -> float:
    """dBFS on the meter."""
    return float(page.locator(f"#{name}-level").get_attribute("data-decibels") or "nan")


def change(page: Page) -> float:
    """dB by which the sound has become louder from before to after."""
    return level(page, "after") - level(page, "before")


def near(page: Page, expected: float, tolerance: float = 1.5) -> None:
    """Wait until the change is as expected."""

    def reached() -> bool:
        page.wait_for_timeout(50)  # lets the browser's events come in
        return abs(change(page) - expected) < tolerance

    wait_for(reached)


def test_the_microphone_is_denoised_and_compared(open_page: Open, service: Running, recording: Path) -> None:
    samples = soundfile.read(recording, dtype="float32")[0]
    kept, quieter = (
        20 * np.log10(service.service.denoiser(samples, RATE, keep_highs=keep).std() / samples.std())
        for keep in (True, False)
    )
    assert quieter < min(kept, 0) - 3, "these weights change too little to be seen"
    page = open_page(service)
    page.click("#start")
    near(page, quieter)
    wait_for(lambda: colours(page, "before") > 20 and colours(page, "after") > 20)
    page.click("#denoise")
    near(page, 0)
    expect(page.locator("#after-name")).to_have_text("Not denoised")
    page.click("#denoise")
    near(page, quieter)
    page.click("#highs")
    near(page, kept)
    page.click("#highs")
    near(page, quieter)
    page.focus("#limit")
    page.keyboard.press("Home")
    expect(page.locator("#limit-text")).to_have_text("0 dB")
    near(page, 0)
    page.click("#start")
    expect(page.locator("#status")).to_contain_text("s denoised")


def test_figures_are_shown_while_the_microphone_runs(open_page: Open, service: Running) -> None:
    page = open_page(service)
    page.click("#start")
    expect(page.locator("#delay")).to_have_text(re.compile(r"^\d+ ms$"))
    expect(page.locator("#factor")).to_have_text(re.compile(r"^0\.\d+$"))
    expect(page.locator("#gaps")).to_have_text(re.compile(r"^\d+$"))
    parts = [int(number) for number in re.findall(r"\d+", page.inner_text("#delay-parts"))]
    total = int(page.inner_text("#delay").split()[0])
    assert parts[0] >= 1000 * service.service.denoiser.config.spectral.latency / 16_000
    assert total >= parts[0]


def test_a_session_can_be_downloaded_and_shows_where_the_denoiser_was_off(open_page: Open, service: Running) -> None:
    page = open_page(service)
    page.click("#start")
    expect(page.locator("#delay")).to_have_text(re.compile("ms"))
    assert page.locator("#axis span").all_inner_texts()[-1] == "now"
    assert marked(page) == 0
    page.click("#denoise")
    expect(page.locator("#legend")).to_be_visible()
    wait_for(lambda: marked(page) > 20)
    page.click("#denoise")
    expect(page.locator("#session")).to_be_hidden()
    page.click("#start")
    with page.expect_download() as download:
        page.click("#session")
    assert download.value.suggested_filename == "session.denoised.webm"
    assert Path(download.value.path()).stat().st_size > 1000
    page.click("#sample")
    expect(page.locator("#play")).to_be_visible()
    expect(page.locator("#session")).to_be_hidden()
    expect(page.locator("#legend")).to_be_hidden()


def marked(page: Page) -> Any:
    """Columns of the picture after the denoiser that say that it was off."""
    return page.evaluate(
        """() => {
          const canvas = document.getElementById("after");
          const copy = new OffscreenCanvas(canvas.width, 1).getContext("2d", { willReadFrequently: true });
          copy.drawImage(canvas, 0, 0);
          const { data } = copy.getImageData(0, 0, canvas.width, 1);
          return new Uint32Array(data.buffer).filter((pixel) => pixel === 0xff00b0ff).length;
        }"""
    )


def test_a_service_that_leaves_and_is_gone(open_page: Open) -> None:
    with running(random_denoiser(), drain_seconds=0) as service:
        page = open_page(service, quiet=False)
        page.click("#start")
        expect(page.locator("#delay")).to_have_text(re.compile("ms"))
        service.stop()
        expect(page.locator("#status")).to_have_text("Connecting again…")
        service.thread.join(20)
        with running(random_denoiser(), port=service.port):
            expect(page.locator("#problem")).to_contain_text("not signed by this service")
        page.click("#start")
        expect(page.locator("#problem")).to_contain_text("cannot be reached")


@pytest.mark.slow
def test_the_microphone_goes_on_where_its_host_is_replaced(open_page: Open) -> None:
    keys = "a secret that both hosts know"
    with running(random_denoiser(), state_keys=keys) as service:
        page = open_page(service, quiet=False)
        page.click("#start")
        expect(page.locator("#delay")).to_have_text(re.compile("ms"))
        wait_for(lambda: service.service.telemetry.live_audio.seconds > 0.5)
        service.stop()
        expect(page.locator("#status")).to_have_text("Connecting again…")
        service.thread.join(20)
    with running(random_denoiser(), port=service.port, state_keys=keys) as other:
        expect(page.locator("#status")).to_contain_text("Listening")
        wait_for(lambda: other.service.telemetry.live_audio.seconds > 1)
        session = next(iter(other.service.sessions))
        assert session.lane
        assert session.lane.received / RATE > other.service.telemetry.live_audio.seconds + 0.1  # what the first one had
        page.click("#start")
        expect(page.locator("#start-text")).to_have_text("Start microphone")


def test_the_jitter_buffer_keeps_order_recovers_and_sheds_delay(open_page: Open, service: Running) -> None:
    page = open_page(service)
    heard = page.evaluate(PLAYOUT)
    steady = np.array(heard["steady"])
    start = int(np.argmax(steady > 0)) + 128  # silence until there is enough, then a fade in
    assert np.array_equal(np.diff(steady[start:]), np.ones(len(steady) - start - 1))
    assert heard["gapsOfSteady"] == 0
    assert heard["gapsAfterPause"] == 1
    assert heard["playsAgain"]
    assert heard["surplus"] > 9_000
    assert heard["surplusLater"] < 3_000
    assert heard["gapsOfSurplus"] == 0


PLAYOUT = """async () => {
  const { Playout } = await import("/playout.js");
  let next = 1;
  const give = (buffer, n) => buffer.push(Float32Array.from({ length: n }, () => next++));
  const turn = (buffer, quanta, sink) => {
    for (let i = 0; i < quanta; i++) {
      if (i % 6 === 0) give(buffer, 768);
      sink?.push(...buffer.pull(new Float32Array(128)));
      if (!sink) buffer.pull(new Float32Array(128));
    }
  };
  const buffer = new Playout(48000);
  const steady = [];
  turn(buffer, 240, steady);
  const gapsOfSteady = buffer.gaps;
  for (let i = 0; i < 100; i++) buffer.pull(new Float32Array(128));
  const gapsAfterPause = buffer.gaps;
  turn(buffer, 60);
  const playsAgain = buffer.playing;
  const late = new Playout(48000);
  give(late, 9600);
  turn(late, 6);
  const surplus = late.waiting;
  turn(late, 3 * 48000 / 128 | 0);
  const after = { surplusLater: late.waiting, gapsOfSurplus: late.gaps };
  return { steady, gapsOfSteady, gapsAfterPause, playsAgain, surplus, ...after };
}"""
