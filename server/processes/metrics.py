"""/metrics of several workers: each writes its own into files of a shared folder, from which any of them answers.

The files are those of prometheus-client's multiprocess mode. What its metrics would write at each change is written
here a few times a second, from the plain numbers that `telemetry` counts.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

FILES = {"gauge": "gauge_livesum", "counter": "counter", "histogram": "histogram"}


class SharedMetrics:
    """Those of this process, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = {kind: MmapedDict(str(folder / f"{name}_{os.getpid()}.db")) for kind, name in FILES.items()}

    def write(self, families: Iterable[Metric]) -> None:
        """The numbers as they are now."""
        for family in families:
            below = 0.0
            for sample in family.samples:
                value = sample.value
                if sample.name.endswith("_bucket"):
                    value, below = value - below, value  # the files hold how many are within, not below
                if not sample.name.endswith("_count"):  # that is told by the buckets
                    self._file(family).write_value(_key(family, sample), value, 0.0)

    def exposition(self) -> bytes:
        """Of all workers, in the Prometheus text format."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))
        return generate_latest(registry)

    def _file(self, family: Metric) -> Any:
        return self._files[family.type]


def forget(folder: Path, pid: int) -> None:
    """A worker has ended: its gauges say nothing any more, its counters count."""
    mark_process_dead(pid, str(folder))


def _key(family: Metric, sample: Any) -> str:
    key: str = mmap_key(
        family.name, sample.name, list(sample.labels), list(sample.labels.values()), family.documentation
    )
    return key
