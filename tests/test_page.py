"""The demo page and the interface's in a real browser: for keyboards, phones and screen readers, and with a key."""

import re
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
pytest.importorskip("torch")
pytest.importorskip("fastapi")

from demo_page import Open
from playwright.sync_api import Page, expect
from serving import Running, running
from streams import random_denoiser


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
