"""Standard input, output and error: there or not, and never one in place of another."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, cast

from gtcrn.errors import AudioError

if TYPE_CHECKING:
    from gtcrn.audio.pipe import Pipe


def open_all() -> None:
    """Give the numbers 0 to 2, where they are closed, to nothing: else the next file that is opened would get them."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(handle, True)
    os.close(handle)
    if sys.stderr is None:  # then print would choose standard output
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (for the life of the process)


def input_pipe() -> "Pipe":
    if sys.stdin is None:
        raise AudioError("standard input is closed.")
    return cast("Pipe", sys.stdin.buffer)


def output_pipe() -> IO[bytes]:
    if sys.stdout is None:
        raise AudioError("standard output is closed.")
    return sys.stdout.buffer


def end(code: int) -> None:
    """End the process where nothing but its output is left to be finished; return where that cannot be.

    Taking the interpreter and its modules down takes longer than five seconds of audio do.
    """
    with contextlib.suppress(OSError):  # which the interpreter tells of, as it ends
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(code)


@contextlib.contextmanager
def until_nobody_reads() -> Iterator[None]:
    """The exit code of a program whose standard output was closed by its reader, without a word."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains as it ends
        sys.exit(128 + signal.SIGPIPE)
