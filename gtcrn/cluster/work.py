"""What a worker does: items to outcomes. It knows nothing of Ray but how the weights come to it."""

import functools
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gtcrn.audio.quiet import without_words_of_libraries
from gtcrn.cluster import places, shards
from gtcrn.cluster.items import Item
from gtcrn.cluster.record import MEMBER
from gtcrn.denoiser import Denoiser
from gtcrn.outcome import DenoiseOptions, Outcome, denoise_file, failure, scored
from gtcrn.plan import Job
from gtcrn.recording import suffix_of

if TYPE_CHECKING:
    import ray


def denoise_batch(
    weights: "list[ray.ObjectRef[Denoiser]]", options: DenoiseOptions, base: str, batch: list[Item]
) -> list[Outcome]:
    """The task: all outcomes of a batch, whose paths count from `base`.

    In a list a reference stays one: the weights are fetched once by a process.
    """
    denoiser = _fetched(weights[0])
    with without_words_of_libraries():
        return [outcome for item in batch for outcome in denoise_item(denoiser, options, item, base)]


@functools.lru_cache(maxsize=1)
def _fetched(weights: "ray.ObjectRef[Denoiser]") -> Denoiser:
    import ray

    return ray.get(weights)


def denoise_item(denoiser: Denoiser, options: DenoiseOptions, item: Item, base: str = "") -> list[Outcome]:
    """An item's outcome; of a shard those of its members, then its own. Whatever is wrong becomes an `error`."""
    started, outcomes = time.monotonic(), list[Outcome]()
    try:
        if item.keep and places.exists(_from(base, item.target)):
            return [Outcome(item.source, item.target, skipped=True)]
        with ExitStack() as stack:
            source = stack.enter_context(places.to_read(_from(base, item.source)))
            target = stack.enter_context(places.to_write(_from(base, item.target)))
            outcomes += _denoise(denoiser, options, item, source, target)
    except Exception as error:  # one item must not end a run of many, whatever a library makes of it
        outcomes.append(failure(item.source, error))
    last = replace(outcomes[-1], target=item.target, took=time.monotonic() - started)
    return [*outcomes[:-1], last]


def _denoise(denoiser: Denoiser, options: DenoiseOptions, item: Item, source: Path, target: Path) -> Iterator[Outcome]:
    def denoise(job: Job) -> Outcome:
        outcome = denoise_file(denoiser, options, job, lambda _: None)
        return scored(options.scoring, job, outcome) if options.scoring and not outcome.error else outcome

    if shards.is_shard(item.source):
        members = shards.Members(denoise, suffix_of(options.container))
        kind = shards.denoise_tar if item.source.endswith(".tar") else shards.denoise_parquet
        for outcome in kind(item.source, source, target, members):
            yield replace(outcome, target=f"{item.target}{MEMBER}{outcome.target}")
        yield Outcome(item.source)
    else:
        yield denoise(Job(source, target)).named(item.source, str(source))


def _from(base: str, name: str) -> str:
    return name if places.is_address(name) else os.path.join(base, name)
