"""`gtcrn live`: from a microphone through a stream to a loudspeaker or a virtual cable, with a meter meanwhile."""

import contextlib
import math
import sys
import time
from typing import Any

import numpy as np

from gtcrn.audio import devices
from gtcrn.audio.quiet import without_words_of_libraries
from gtcrn.cli.report import clock
from gtcrn.denoiser import load
from gtcrn.errors import GtcrnError
from gtcrn.stream import Stream
from gtcrn.types import Samples

METER_SECONDS = 0.125  # over which levels are averaged: a meter's `fast`
REFRESH_SECONDS = 0.1
SILENCE = 1e-12  # power, -120 dBFS


class Passage:
    """What PortAudio calls for every block: as many samples out as came in, denoised, later by the stream's latency."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ready: Samples = np.zeros(stream.latency, np.float32)  # so that no block ever has to wait
        self.heard = self.xruns = 0  # samples, and blocks that came late or were lost
        self.levels = [SILENCE, SILENCE]  # power in and out
        self.device_delay = 0.0  # seconds from the microphone to the loudspeaker, without the stream's
        self.failure: Exception | None = None

    def __call__(self, source: Any, target: Any, count: int, times: Any, status: Any) -> None:
        try:
            self._pass(source[:, 0], target, count)
        except Exception as error:  # it would be printed, and go on
            self.failure = error
            target.fill(0)
        self.xruns += bool(status.input_overflow or status.input_underflow or status.output_underflow)
        self.device_delay = max(0.0, times.outputBufferDacTime - times.inputBufferAdcTime)

    def _pass(self, block: Samples, target: Any, count: int) -> None:
        ready = np.concatenate((self._ready, self._stream.push(block)))
        target[:] = ready[:count, None]
        self._ready = ready[count:]
        self.heard += count
        share = 1 - math.exp(-count / self._stream.sample_rate / METER_SECONDS)
        for place, samples in enumerate((block, ready[:count])):
            power = float(np.dot(samples, samples)) / count
            self.levels[place] += share * (power - self.levels[place])

    @property
    def seconds(self) -> float:
        return self.heard / self._stream.sample_rate

    def delay(self) -> str:
        """In ms: all of it, and its parts."""
        own, theirs = 1000 * self._stream.latency / self._stream.sample_rate, 1000 * self.device_delay
        return f"{own + theirs:.0f} ms (devices {theirs:.0f}, denoiser {own:.0f})"


def print_devices() -> None:
    """All that PortAudio knows."""
    with without_words_of_libraries():
        lines = devices.table()
    print("\n".join(lines) or "no devices")


def run(
    source: str | None,
    target: str | None,
    rate: int | None,
    limit: float | None,
    keep_highs: bool,
    weights: str | None,
    quiet: bool,
) -> None:
    """Denoise until interrupted, then say how that went. Raises ConfigError for devices that are not there."""
    with without_words_of_libraries():  # ALSA tells of every device that it lacks
        devices.library()
        microphone, loudspeaker = devices.find(source, "input"), devices.find(target, "output")
        passage = Passage(load(weights).stream(rate or microphone.rate, 1, limit, keep_highs=keep_highs))
        stream = devices.opened(microphone, loudspeaker, rate or microphone.rate, passage)
        try:
            with stream, contextlib.suppress(KeyboardInterrupt):
                _say(f"{microphone.name} to {loudspeaker.name}, {rate or microphone.rate} Hz; Ctrl-C ends.", quiet)
                _watch(stream, passage, quiet)
        finally:
            _say(f"{clock(passage.seconds)} denoised, delay {passage.delay()}, {passage.xruns} xruns.", quiet)


def _watch(stream: Any, passage: Passage, quiet: bool) -> None:
    """The meter where a terminal shows it. Raises GtcrnError when a device is lost or the work fails."""
    shown = not quiet and sys.stderr.isatty()
    try:
        while stream.active and passage.failure is None:
            time.sleep(REFRESH_SECONDS)
            if shown:
                print(f"\r{meter(passage)}\x1b[K", end="", file=sys.stderr, flush=True)
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if isinstance(passage.failure, GtcrnError):
        raise passage.failure
    raise GtcrnError(f"the devices stopped: {passage.failure or 'one of them may have been taken away'}.")


def meter(passage: Passage) -> str:
    """Levels, delay and xruns in a line."""
    levels = [10 * math.log10(max(level, SILENCE)) for level in passage.levels]
    bars = [f"{'#' * max(0, round((level + 60) / 4)):15}" for level in levels]
    shown = [f"{name} {level:6.1f} dBFS {bar}" for name, level, bar in zip(("in", "out"), levels, bars, strict=True)]
    return f"{'  '.join(shown)}  delay {passage.delay()}  {passage.xruns} xruns"


def _say(sentence: str, quiet: bool) -> None:
    if not quiet:
        print(f"gtcrn: {sentence}", file=sys.stderr)
