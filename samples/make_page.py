"""Make page.png: the demo page in Chromium, denoising noisy.wav as if it came from a microphone.

    python samples/make_page.py [WEIGHTS]

Needs the service, the packages playwright and pillow, and Chromium.
"""

import io
import shutil
import sys
import threading
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import gtcrn
from gtcrn_server.processes.serving import listen, server
from gtcrn_server.settings import Settings

HERE = Path(__file__).resolve().parent
SIZE = {"width": 1000, "height": 1030}  # pixels
MICROPHONE = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={HERE / 'noisy.wav'}"]
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required", *MICROPHONE]


def main(weights: str | None = None) -> None:
    """Serve, play, photograph."""
    settings = Settings(port=0)
    bound = listen(settings.host, settings.port)
    instance = server(settings, gtcrn.load(weights))
    thread = threading.Thread(target=instance.run, args=([bound],), daemon=True)
    thread.start()
    while not instance.started:
        time.sleep(0.05)
    photograph(f"http://127.0.0.1:{bound.getsockname()[1]}")
    instance.should_exit = True
    thread.join()


def photograph(url: str) -> None:
    with (
        sync_playwright() as driver,
        driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS) as browser,
    ):
        page = browser.new_context(viewport=SIZE, permissions=["microphone"]).new_page()
        page.goto(url)
        play(page)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(128).save(HERE / "page.png", optimize=True)


def play(page: Page) -> None:
    """Fourteen seconds of a microphone, with the denoiser switched off for two of them."""
    page.click("#start")
    page.wait_for_timeout(8000)
    page.click("#denoise")
    page.wait_for_timeout(2000)
    page.click("#denoise")
    page.mouse.move(0, 0)
    page.wait_for_timeout(4500)


if __name__ == "__main__":
    main(*sys.argv[1:2])
