"""Work for Ray's processes in tests, in a module that they import quickly."""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gtcrn.cluster import work
from gtcrn.cluster.items import Item
from gtcrn.errors import AudioError
from gtcrn.outcome import DenoiseOptions, Outcome


def die_over_b(weights: object, options: DenoiseOptions, base: str, batch: list[Item]) -> list[Outcome]:
    """Does nothing; an item called b is the end of its process."""
    if any(item.source == "b" for item in batch):
        os._exit(3)
    return [Outcome(item.source, item.target) for item in batch]


def fail(weights: object, options: DenoiseOptions, base: str, batch: list[Item]) -> list[Outcome]:
    """As where a machine lacks the package."""
    raise ModuleNotFoundError("No module named 'gtcrn'")


def late_first(item: tuple[float, int]) -> int:
    """Its number, after so many seconds."""
    seconds, number = item
    time.sleep(seconds)
    return number


def die_once(marks: str, number: int) -> int:
    """The number; the first process that has the number 3 ends."""
    if number == 3 and not os.path.exists(marks):
        open(marks, "x").close()
        os._exit(3)
    return number


def die_over_3(number: int) -> int:
    """The number, but 3 is the end of a process."""
    if number == 3:
        os._exit(3)
    return number


def refuse(number: int) -> int:
    """As work does over data that are no good."""
    raise AudioError(f"{number} is no good.")


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file of this process can have more bytes than that, as where a disk is full."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def on_a_small_disk(weights: Any, options: DenoiseOptions, base: str, batch: list[Item]) -> list[Outcome]:
    """The task, with room for outputs of 3 s."""
    with small_disk(100_000):
        return work.denoise_batch(weights, options, base, batch)
