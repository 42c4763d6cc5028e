"""What a training takes of the machine: threads and memory."""

import contextlib
import ctypes

import torch

from gtcrn_recipes.native.library import use_threads

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # options of glibc's mallopt


def hand_over_threads() -> int:
    """Give torch's threads to the compiled layers. Torch has little left to do; its own would spin for their cores."""
    threads = use_threads(torch.get_num_threads())
    torch.set_num_threads(1)
    return threads


def keep_memory() -> None:
    """Have glibc keep what is freed: the loader's thread would give its pages back at every step and get new ones."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, 32 << 20)  # the most it takes
        mallopt(TRIM_THRESHOLD, 1 << 30)
