"""The CPU kernel: the network of `gtcrn.network.model`, folded, compiled, in the stream around it. Free of torch."""

import numpy as np
from numpy.typing import NDArray

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
    "process",
    "snapshot_form",
]


def new_state(params: NDArray[np.float32]) -> NDArray[np.float32]:
    """The memory of a stream before its first frame, as `process` and `enhance` want it for these parameters."""
    return np.zeros(SIZES[int(params[1])][0], np.float32)
