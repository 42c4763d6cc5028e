"""What the service counts. Plain numbers while audio runs, turned into Prometheus metrics when somebody asks.

A counter of the Prometheus library costs a lock and about 1 us; a message of 20 ms audio has 130 us in all.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

Metric = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

FRAME_BOUNDS = (2e-5, 5e-5, 1e-4, 1.5e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 16e-3)  # seconds
DELAY_BOUNDS = (5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0)  # seconds


class Histogram:
    """Counts of values up to each bound, and their sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, how many are not above it), as Prometheus wants them."""
        total, rows = 0, []
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            total += count
            rows.append(("+Inf" if bound == float("inf") else repr(bound), float(total)))
        return rows


class Telemetry(Collector):
    """Everything one app counts; nothing is shared between two apps. Not for use from several threads at once."""

    def __init__(self, worker: int = 0) -> None:
        self.worker = str(worker)
        self.active: Counter[str] = Counter()  # by transport
        self.opened: Counter[str] = Counter()
        self.rejections: Counter[str] = Counter()  # by reason
        self.live_seconds = self.file_seconds = 0.0  # of audio
        self.bytes_in = self.bytes_out = self.frames = self.nonfinite = 0
        self.weight = 0.0  # of the live streams, in streams of one channel at 16 kHz
        self.overloads = 0  # times that a stream was told that its audio is late
        self.busy = 0.0  # seconds spent on live audio
        self.frame_seconds = Histogram(FRAME_BOUNDS)
        self.queue_delay = Histogram(DELAY_BOUNDS)
        self.lag = 0.0  # seconds; recent lateness of the event loop
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def worked(self, frames: int, busy: float, seconds: float, taken: int, given: int) -> None:
        """`frames` frames took `busy` seconds; so many seconds and bytes of live audio came in, so many went out."""
        self.busy += busy
        self.live_seconds += seconds
        self.bytes_in += taken
        self.bytes_out += given
        self.frames += frames
        if frames:
            self.frame_seconds.observe(busy / frames, frames)

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
        return self.busy / self.live_seconds if self.live_seconds else 0.0

    def exposition(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        yield self._gauge("active_streams", "Live streams that are open.", self.active, "transport")
        weight = {"live": self.weight}
        yield self._gauge("streams_weight", "Live streams that are open, by what they cost.", weight, "kind")
        yield self._counter("streams", "Live streams opened.", self.opened, "transport")
        yield self._counter("rejections", "Requests and streams refused or ended.", self.rejections, "reason")
        seconds = {"live": self.live_seconds, "file": self.file_seconds}
        yield self._counter("audio_seconds", "Audio denoised.", seconds, "kind")
        yield self._counter("bytes", "Audio bytes.", {"in": self.bytes_in, "out": self.bytes_out}, "direction")
        yield self._counter("frames", "Frames of live audio.", {"live": self.frames}, "kind")
        yield self._counter("nonfinite_samples", "Samples replaced by silence.", {"live": self.nonfinite}, "kind")
        yield self._counter("overloaded", "Times a stream was told that it is late.", {"live": self.overloads}, "kind")
        factor = {"live": self.real_time_factor}
        yield self._gauge("real_time_factor", "Processor time over audio time.", factor, "kind")
        yield from self._histograms()

    def _histograms(self) -> Iterator[Metric]:
        for name, text, histogram in (
            ("frame_seconds", "Processor time of one frame of live audio.", self.frame_seconds),
            ("queue_delay_seconds", "How late the event loop comes to what is due.", self.queue_delay),
        ):
            family = HistogramMetricFamily(f"gtcrn_{name}", text, labels=["worker"])
            family.add_metric([self.worker], histogram.buckets(), histogram.sum)
            yield family

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
