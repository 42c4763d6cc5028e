"""The CPU kernel: the network of `gtcrn.network.model`, folded, compiled, in the stream around it. Free of torch."""

from gtcrn.kernel._gtcrn import (
    BINS,
    INSTRUCTIONS,
    LAYOUT,
    PARAMS_SIZE,
    STATE_SIZE,
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
    "LAYOUT",
    "PARAMS_SIZE",
    "STATE_SIZE",
    "VERSION_ERROR",
    "Filters",
    "Stream",
    "enhance",
    "fingerprint",
    "process",
    "snapshot_form",
]
