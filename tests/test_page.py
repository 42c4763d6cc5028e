"""The demo page in a real browser: a microphone made of a WAV file, files, and everything that can go wrong."""

import base64
import itertools
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
pytest.importorskip("torch")
pytest.importorskip("fastapi")

from browsers import chromium
from playwright.sync_api import Browser, Page, expect
from serving import Running, page_files, running, wait_for
from streams import random_denoiser

RATE = 48_000  # Hz
PATIENCE = 15_000  # ms until something must have appeared, on a machine that is busy with other work
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of tones in noise that sound the same at any moment, so that levels can be compared."""
    time = np.arange(RATE) / RATE
    tones = sum(np.sin(2 * np.pi * f * time) / f for f in range(200, 4000, 200))
    noise = np.random.default_rng(0).standard_normal(len(time))
    path = tmp_path_factory.mktemp("page") / "noisy.wav"
    soundfile.write(path, 0.1 * noise + 10 * tones, RATE, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def browser(recording: Path) -> Iterator[Browser]:
    """One browser for all tests."""
    expect.set_options(timeout=PATIENCE)
    with chromium(recording) as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens the page of a service in a fresh context; in the end no script has failed and nothing was logged."""
    complaints: list[str] = []
    contexts = []

    def note(complaint: str) -> None:
        complaints.append(complaint)

    def opened(service: Running, url: str = "", quiet: bool = True, **options: Any) -> Page:
        context = browser.new_context(**{"permissions": ["microphone"], **options})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: note(str(error)))
        page.on("console", lambda line: note(line.text) if quiet and line.type in ("error", "warning") else None)
        page.goto(url or service.http)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with page_files(tmp_path_factory.mktemp("page")), running(random_denoiser()) as service:
        yield service


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


def rest(service: Running, path: Path, query: str = "") -> bytes:
    with urllib.request.urlopen(f"{service.http}/v1/denoise{query}", path.read_bytes()) as answer:
        return bytes(answer.read())


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


def test_a_chosen_file_is_what_rest_gives(open_page: Open, service: Running, recording: Path) -> None:
    page = open_page(service)
    page.set_input_files("#file", recording)
    expect(page.locator("#play")).to_be_visible()
    assert colours(page, "before") > 20
    assert colours(page, "after") > 20
    assert downloaded(page) == ("noisy.denoised.wav", rest(service, recording))
    page.fill("#limit", "6")
    expected = rest(service, recording, "?attenuation_limit=6")
    wait_for(lambda: downloaded(page)[1] == expected)
    page.click("#highs")
    kept = rest(service, recording, "?attenuation_limit=6&keep_highs=true")
    assert kept != expected
    wait_for(lambda: downloaded(page)[1] == kept)
    page.click("#play")
    expect(page.locator("#play")).to_have_text("Pause")
    page.click("#denoise")
    wait_for(lambda: page.evaluate("() => document.getElementById('seek').value > 0.1"))
    expect(page.locator("#play")).to_have_text("Play")  # at its end


def downloaded(page: Page) -> tuple[str, bytes]:
    with page.expect_download() as download:
        page.click("#download")
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_a_sample_can_be_tried_without_microphone_or_file(open_page: Open, service: Running) -> None:
    page = open_page(service, permissions=[])
    page.click("#sample")
    expect(page.locator("#play")).to_be_visible()
    expect(page.locator("#status")).to_contain_text("sample.flac: 3.6 s denoised")
    expect(page.locator("#speed")).to_have_text(re.compile(r"^[\d.]+ times$"))
    assert page.locator("#axis span").all_inner_texts() == [f"{tenths / 10:g} s" for tenths in range(0, 36, 10)]
    assert min(colours(page, "before"), colours(page, "after")) > 20
    assert downloaded(page)[0] == "sample.denoised.flac"


def test_play_is_beside_the_picture(open_page: Open, service: Running) -> None:
    for width in (360, 1000):
        page = open_page(service, viewport={"width": width, "height": 740})
        page.click("#sample")
        expect(page.locator("#play")).to_be_visible()
        button, picture = (page.locator(name).bounding_box() for name in ("#play", "#before"))
        assert button is not None
        assert picture is not None
        assert 0 < picture["y"] - (button["y"] + button["height"]) < 80


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


def test_status_and_errors_are_at_one_place_in_view(open_page: Open, service: Running) -> None:
    """On a phone, however far down the page."""
    page = open_page(service, viewport={"width": 360, "height": 640}, quiet=False)
    page.click("#sample")
    expect(page.locator("#play")).to_be_visible()
    page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
    expect(page.locator("#status")).to_be_in_viewport()
    page.set_input_files("#file", {"name": "text.wav", "mimeType": "audio/wav", "buffer": b"no sound"})
    expect(page.locator("#problem")).to_be_in_viewport()
    place = "e => e.closest('.messages') !== null"
    assert all(page.locator(name).evaluate(place) for name in ("#status", "#problem", "#key-form"))


def test_a_dropped_file_is_denoised(open_page: Open, service: Running, recording: Path) -> None:
    page = open_page(service)
    files = page.evaluate_handle(
        """data => {
          const transfer = new DataTransfer();
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          transfer.items.add(new File([bytes], "dropped.wav", { type: "audio/wav" }));
          return transfer;
        }""",
        base64.b64encode(recording.read_bytes()).decode(),
    )
    page.dispatch_event("main", "dragover", {"dataTransfer": files})
    expect(page.locator("#drop")).to_be_visible()
    page.dispatch_event("main", "drop", {"dataTransfer": files})
    expect(page.locator("#play")).to_be_visible()
    expect(page.locator("#drop")).to_be_hidden()
    assert downloaded(page) == ("dropped.denoised.wav", rest(service, recording))


def test_what_is_no_sound_file_is_told_in_the_words_of_the_service(open_page: Open, service: Running) -> None:
    page = open_page(service, quiet=False)  # browsers log every answer of 400 and above
    page.set_input_files("#file", {"name": "text.wav", "mimeType": "audio/wav", "buffer": b"no sound"})
    expect(page.locator("#problem")).to_contain_text("The service did not take text.wav:")
    for name in ("before", "after"):  # no empty black boxes: the words that were there at first
        expect(page.locator(f".glass:has(#{name}) .empty")).to_be_visible()
    expect(page.locator("#player")).to_be_hidden()


def test_a_refused_microphone_and_what_to_do(open_page: Open, service: Running) -> None:
    page = open_page(service, permissions=[])
    page.click("#start")
    expect(page.locator("#problem")).to_contain_text("Allow it for this page")
    expect(page.locator("#start")).to_be_enabled()


def test_an_insecure_page_says_where_to_go_and_takes_files(open_page: Open, recording: Path) -> None:
    with running(random_denoiser(), allowed_hosts="gtcrn.test") as service:
        page = open_page(service, f"http://gtcrn.test:{service.port}", quiet=False, permissions=[])
        expect(page.locator("#problem")).to_contain_text("only to pages from https:// or localhost")
        page.set_input_files("#file", recording)
        expect(page.locator("#play")).to_be_visible()


def test_a_key_is_asked_for_and_a_full_service_says_so(open_page: Open, recording: Path) -> None:
    with running(random_denoiser(), api_keys="right", max_streams=2) as service:  # one at 48 kHz
        page = open_page(service, quiet=False)
        expect(page.locator("#key-form")).to_be_hidden()
        page.set_input_files("#file", recording)
        expect(page.locator("#problem")).to_have_text("This service asks for an API key.")
        expect(page.locator("#key")).to_be_focused()
        page.keyboard.type("right")
        page.keyboard.press("Enter")
        expect(page.locator("#play")).to_be_visible()
        other = open_page(service, quiet=False)
        other.click("#start")
        expect(other.locator("#key")).to_be_focused()
        other.keyboard.type("wrong, and no token")
        other.keyboard.press("Enter")
        expect(other.locator("#problem")).to_have_text("The service did not take this API key.")
        other.fill("#key", "right")
        other.keyboard.press("Enter")
        expect(other.locator("#start-text")).to_have_text("Stop")
        page.click("#start")
        expect(page.locator("#problem")).to_contain_text("The service is busy.")


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


def test_a_phone_needs_no_sideways_scrolling(open_page: Open, service: Running, recording: Path) -> None:
    page = open_page(service, viewport={"width": 360, "height": 740}, permissions=[])
    page.click("#start")
    expect(page.locator("#problem")).to_be_visible()
    page.evaluate("() => document.getElementById('key-form').hidden = false")
    assert page.evaluate("() => document.documentElement.scrollWidth") == 360
    page.set_input_files("#file", recording)
    expect(page.locator("#play")).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") == 360


def test_the_keyboard_reaches_and_works_every_control(open_page: Open, service: Running, recording: Path) -> None:
    page = open_page(service)
    page.set_input_files("#file", recording)
    expect(page.locator("#play")).to_be_visible()
    reached = []
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.id"))
    assert reached == ["start", "file", "sample", "denoise", "highs", "limit", "volume", "play", "seek", "download"]
    assert unnamed(page) == []
    page.focus("#denoise")
    page.keyboard.press("Space")
    expect(page.locator("#denoise")).to_have_attribute("aria-checked", "false")
    page.focus("#volume")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#volume-text")).to_have_text("99 %")
    page.focus("#play")
    page.keyboard.press("Enter")
    expect(page.locator("#play")).to_have_text("Pause")


def unnamed(page: Page) -> list[str]:
    """Controls on which a screen reader would have nothing to say, by their accessible names."""
    controls = page.locator("button:visible, input:visible, [role=meter], canvas").all()
    return [c.get_attribute("id") or "" for c in controls if not re.match(r'- \w+ "', c.aria_snapshot())]


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


def test_spectrograms_show_the_spectrum(open_page: Open, service: Running) -> None:
    samples = 0.1 * np.random.default_rng(1).standard_normal(2048)
    ours = open_page(service).evaluate(
        """async samples => {
          const { Spectrum } = await import("/spectrum.js");
          return Array.from(new Spectrum(48000, 341).column(samples));  // one row a bin, as good as
        }""",
        samples.tolist(),
    )
    power = np.abs(np.fft.rfft(samples * np.hanning(2049)[:-1])) ** 2 * (4 / 2048) ** 2
    rows = (np.arange(342) * (8000 / 341) * (2048 / 48_000)).astype(int)
    expected = [power[a : max(a + 1, b)].max() for a, b in itertools.pairwise(rows)]
    shades = np.clip(255 * (10 * np.log10(expected) + 95) / 75, 0, 255)[::-1]
    np.testing.assert_allclose(ours, shades, atol=1)


def test_docs_show_the_interface(open_page: Open, service: Running) -> None:
    page = open_page(service, f"{service.http}/docs")
    expect(page.locator("[data-path='/v1/denoise']").first).to_be_visible()


def test_docs_ask_for_the_key(open_page: Open) -> None:
    with running(random_denoiser(), api_keys="right") as service:
        page = open_page(service, f"{service.http}/docs", quiet=False)
        page.get_by_label("key").fill("wrong")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_text("This key was not taken.")).to_be_visible()
        page.get_by_label("key").fill("right")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("[data-path='/v1/denoise']").first).to_be_visible()
