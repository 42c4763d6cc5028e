"""Files on the demo page: chosen, dropped or its own; denoised as REST does it, played, seen and downloaded."""

import base64
import itertools
import re
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
pytest.importorskip("torch")
pytest.importorskip("fastapi")

from demo_page import Open, colours
from playwright.sync_api import Page, expect
from serving import Running, wait_for


def rest(service: Running, path: Path, query: str = "") -> bytes:
    with urllib.request.urlopen(f"{service.http}/v1/denoise{query}", path.read_bytes()) as answer:
        return bytes(answer.read())


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


def test_play_twice_at_once_plays_once(open_page: Open, service: Running) -> None:
    page = open_page(service)
    page.click("#sample")
    expect(page.locator("#play")).to_be_visible()
    page.evaluate(
        """() => {
          const play = document.getElementById("play"), Node = AudioBufferSourceNode;
          window.made = 0;
          window.AudioBufferSourceNode = function (...form) { window.made += 1; return new Node(...form); };
          play.click();
          play.click();
        }"""
    )
    expect(page.locator("#play")).to_have_text("Pause")
    assert page.evaluate("() => window.made") == 2  # before and after


def test_options_that_come_after_the_file_has_made_way_are_not_the_microphones(
    open_page: Open, service: Running
) -> None:
    page = open_page(service)
    page.click("#sample")
    expect(page.locator("#play")).to_be_visible()
    page.evaluate(
        """() => {
          document.getElementById("start").click();
          document.getElementById("limit").dispatchEvent(new Event("change"));
        }"""
    )
    expect(page.locator("#delay")).to_have_text(re.compile("ms"))
    expect(page.locator("#problem")).to_be_hidden()


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
