"""Batches of items through Ray: one task a core, so many at once that none waits, and no more."""

import itertools
import os
from collections.abc import Iterable, Iterator

from gtcrn.cluster import cores
from gtcrn.cluster.items import Item
from gtcrn.cluster.work import denoise_batch
from gtcrn.denoiser import Denoiser
from gtcrn.outcome import DenoiseOptions, Outcome

FILES = 64  # in a batch at most
BYTES = 4 << 20  # in a batch, beyond its first file: about a third of a second of work
SORTED = 20_000  # items among which the largest come first, that none of them holds up the end

Batch = list[Item]


def batches(items: Iterable[Item]) -> Iterator[Batch]:
    """Items in batches of about equal size, large ones alone and first."""
    iterator = iter(items)
    while window := list(itertools.islice(iterator, SORTED)):
        window.sort(key=lambda item: -item.size)
        held: Batch = []
        for item in window:
            if held and (len(held) == FILES or sum(other.size for other in held) + item.size > BYTES):
                yield held
                held = []
            held.append(item)
        yield held


def outcomes(work: Iterable[Batch], options: DenoiseOptions, denoiser: Denoiser) -> Iterator[Outcome]:
    """As batches are done, in any order. A batch over which workers keep dying is split; a file of that kind fails."""
    import ray

    task = ray.remote(denoise_batch).options(num_cpus=1, max_retries=cores.RETRIES, name="gtcrn denoise")
    weights = [ray.put(denoiser)]
    free, left, again = cores.Cores(), iter(work), list[Batch]()
    running: dict[ray.ObjectRef[list[Outcome]], Batch] = {}
    try:
        while True:
            for batch in itertools.islice(itertools.chain(_popped(again), left), free.room(len(running))):
                running[task.remote(weights, options, os.getcwd(), batch)] = batch
            if not running:
                return
            for done in ray.wait(list(running), fetch_local=True)[0]:
                batch = running.pop(done)
                found = cores.result(done)
                if found is None and len(batch) > 1:
                    again += [[item] for item in batch]
                yield from found or ([_died(batch[0])] if len(batch) == 1 else [])
    finally:
        for reference in running:
            ray.cancel(reference)


def _popped(batches: list[Batch]) -> Iterator[Batch]:
    while batches:
        yield batches.pop()


def _died(item: Item) -> Outcome:
    return Outcome(item.source, item.target, error=f"{item.source}: its process ended (out of memory?).")
