"""Work on many items through Ray, in any order; its results in the order of the items."""

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from gtcrn.cluster import cores
from gtcrn.errors import GtcrnError

if TYPE_CHECKING:
    import ray

A = TypeVar("A")
B = TypeVar("B")

ITEMS = 16  # in a task at most
SHARES = 32  # tasks that each core should get at least, so that none waits long for the others at the end
AHEAD = 4  # tasks for each core: at work, waiting, and done before one that is first in order


def in_order(work: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
    """Results of `work` in the order of `items`, on all cores of the Ray that is connected.

    `work` goes to each process once; it, items and results are pickled. Results that wait for their turn lie in Ray's
    store, not in this process. Raises the GtcrnError that `work` raises, and one where processes keep dying over an
    item.
    """
    import ray

    size = max(1, min(ITEMS, len(items) // (SHARES * max(cores.count(), 1))))
    left = (items[start : start + size] for start in range(0, len(items), size))
    task: Any = ray.remote(_apply).options(num_cpus=1, max_retries=cores.RETRIES, name="gtcrn work")
    hand_out = functools.partial(task.remote, [ray.put(work)])
    free, waiting = cores.Cores(AHEAD), deque[tuple[Sequence[A], ray.ObjectRef[list[B]]]]()
    try:
        while True:
            for batch in itertools.islice(left, free.room(len(waiting))):
                waiting.append((batch, hand_out(batch)))
            if not waiting:
                return
            batch, reference = waiting.popleft()
            found = cores.result(reference)
            yield from _one_by_one(hand_out, batch) if found is None else found
    finally:
        for _, reference in waiting:
            ray.cancel(reference)


def _one_by_one(hand_out: "Callable[[Sequence[A]], ray.ObjectRef[list[B]]]", batch: Sequence[A]) -> Iterator[B]:
    """A batch over which processes died, to find the item that is the reason."""
    for item in batch:
        found = cores.result(hand_out([item]))
        if found is None:
            raise GtcrnError(f"processes end over {item} (out of memory?).")
        yield from found


def _apply(work: "list[ray.ObjectRef[Callable[[A], B]]]", batch: Sequence[A]) -> list[B]:
    """The task. In a list a reference stays one: the work is fetched once by a process."""
    return [_fetched(work[0])(item) for item in batch]


@functools.lru_cache(maxsize=1)
def _fetched(work: "ray.ObjectRef[Callable[[A], B]]") -> Callable[[A], B]:
    import ray

    return ray.get(work)
