"""The CPU kernel: the network of `gtcrn.network.model`, folded, compiled, one frame at a time. Free of torch."""

from gtcrn.kernel._gtcrn import BINS, PARAMS_SIZE, STATE_SIZE, enhance, process

__all__ = ["BINS", "PARAMS_SIZE", "STATE_SIZE", "enhance", "process"]
