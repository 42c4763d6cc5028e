"""The CPU kernel: the network of `gtcrn.network.model`, folded, compiled, in the stream around it. Free of torch."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from gtcrn.errors import AudioError
from gtcrn.kernel._gtcrn import (
    BINS,
    INSTRUCTIONS,
    SIZES,
    VERSION_ERROR,
    Filters,
    Stream,
    enhance,
    fingerprint,
    process,
    snapshot_form,
)

__all__ = [
    "BINS",
    "INSTRUCTIONS",
    "SIZES",
    "VERSION_ERROR",
    "Filters",
    "Stream",
    "enhance",
    "fingerprint",
    "new_state",
    "one_thread",
    "process",
    "snapshot_form",
]


def new_state(params: NDArray[np.float32]) -> NDArray[np.float32]:
    """The memory of a stream before its first frame, as `process` and `enhance` want it for these parameters."""
    return np.zeros(SIZES[int(params[1])][0], np.float32)


@contextmanager
def one_thread() -> Iterator[None]:
    """Around what a Stream does with samples and state. Raises AudioError where another thread is at it, or was when
    the room for its output was made, which then does not fit."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise AudioError("another thread is at work with the stream; use it from one at a time.") from error
