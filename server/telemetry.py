"""What the service counts. Plain numbers while audio runs, turned into Prometheus metrics when somebody asks.

A counter of the Prometheus library costs a lock and about 1 us; a message of 20 ms audio has 60 us in all.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from gtcrn_server.native import Meter
from gtcrn_server.processes.metrics import SharedMetrics

Metric = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

FRAME_BOUNDS = (2e-5, 5e-5, 1e-4, 1.5e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 16e-3)  # seconds
DELAY_BOUNDS = (5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0)  # seconds


class Histogram:
    """Counts of values up to each bound, and their sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


def buckets(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """(upper bound, how many are not above it), as Prometheus wants them."""
    bars = (*map(repr, bounds), "+Inf")
    return list(zip(bars, map(float, accumulate(counts)), strict=True))


class Telemetry(Collector):
    """Everything one app counts; nothing is shared between two apps. Not for use from several threads at once."""

    def __init__(self, worker: int = 0, folder: Path | None = None) -> None:
        """`folder` is where the workers of one service count together, if there are several."""
        self.worker = str(worker)
        self._shared = SharedMetrics(folder) if folder else None
        self.active: Counter[str] = Counter()  # by transport
        self.opened: Counter[str] = Counter()
        self.rejections: Counter[str] = Counter()  # by reason
        self.shared: Counter[str] = Counter()  # what became of streams in Redis, by event
        self.live_audio = Meter(*FRAME_BOUNDS)
        self.file_seconds = 0.0  # of audio
        self.nonfinite = 0
        self.weight = 0.0  # of the live streams, in streams of one channel at 16 kHz
        self.overloads = 0  # times that a stream was told that its audio is late
        self.queue_delay = Histogram(DELAY_BOUNDS)
        self.lag = 0.0  # seconds; recent lateness of the event loop
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def late(self, seconds: float) -> None:
        """The event loop came so much later than it was due; recent values weigh more."""
        self.queue_delay.observe(seconds)
        self.lag += 0.2 * (seconds - self.lag)

    @property
    def live(self) -> int:
        """Live streams that are open, over all transports."""
        return sum(self.active.values())

    @property
    def real_time_factor(self) -> float:
        """Processor time of live audio over its length, since the start."""
        audio = self.live_audio
        return audio.busy / audio.seconds if audio.seconds else 0.0

    def exposition(self) -> bytes:
        """The Prometheus text format; of all workers."""
        self.share()
        return self._shared.exposition() if self._shared else generate_latest(self._registry)

    def share(self) -> None:
        """Let the other workers know."""
        if self._shared:
            self._shared.write(self.collect())

    def collect(self) -> Iterable[Metric]:
        audio = self.live_audio
        yield self._gauge("active_streams", "Live streams that are open.", self.active, "transport")
        weight = {"live": self.weight}
        yield self._gauge("streams_weight", "Live streams that are open, by what they cost.", weight, "kind")
        yield self._counter("streams", "Live streams opened.", self.opened, "transport")
        yield self._counter("rejections", "Requests and streams refused or ended.", self.rejections, "reason")
        yield self._counter("shared_streams", "What became of streams in Redis.", self.shared, "event")
        seconds = {"live": audio.seconds, "file": self.file_seconds}
        yield self._counter("audio_seconds", "Audio denoised.", seconds, "kind")
        yield self._counter("bytes", "Audio bytes.", {"in": audio.bytes_in, "out": audio.bytes_out}, "direction")
        yield self._counter("frames", "Frames of live audio.", {"live": audio.frames}, "kind")
        yield self._counter("nonfinite_samples", "Samples replaced by silence.", {"live": self.nonfinite}, "kind")
        yield self._counter("overloaded", "Times a stream was told that it is late.", {"live": self.overloads}, "kind")
        factor = {"live": self.real_time_factor}
        yield self._gauge("real_time_factor", "Processor time over audio time.", factor, "kind")
        yield from self._histograms()

    def _histograms(self) -> Iterator[Metric]:
        audio, delay = self.live_audio, self.queue_delay
        frame_text, delay_text = (
            "Processor time of one frame of live audio.",
            "How late the event loop comes to what is due.",
        )
        frames, delays = buckets(FRAME_BOUNDS, audio.counts), buckets(DELAY_BOUNDS, delay.counts)
        yield self._histogram("frame_seconds", frame_text, frames, audio.frame_seconds)
        yield self._histogram("queue_delay_seconds", delay_text, delays, delay.sum)

    def _histogram(self, name: str, text: str, rows: list[tuple[str, float]], total: float) -> Metric:
        family = HistogramMetricFamily(f"gtcrn_{name}", text, labels=["worker"])
        family.add_metric([self.worker], rows, total)
        return family

    def _gauge(self, name: str, text: str, values: dict[str, float] | Counter[str], label: str) -> Metric:
        return self._fill(GaugeMetricFamily(f"gtcrn_{name}", text, labels=["worker", label]), values)

    def _counter(self, name: str, text: str, values: dict[str, float] | Counter[str], label: str) -> Metric:
        return self._fill(CounterMetricFamily(f"gtcrn_{name}", text, labels=["worker", label]), values)

    def _fill(
        self, family: CounterMetricFamily | GaugeMetricFamily, values: dict[str, float] | Counter[str]
    ) -> CounterMetricFamily | GaugeMetricFamily:
        for label, value in values.items():
            family.add_metric([self.worker, label], value)
        return family
