"""What C libraries print on their own is kept from terminals and logs."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def without_words_of_libraries() -> Iterator[None]:
    """Meanwhile what C libraries print on standard error (libmpg123 does, about every odd frame) goes nowhere."""
    sys.stderr.flush()
    own, ours = sys.stderr, os.dup(2)
    with open(os.devnull, "w") as nothing, os.fdopen(ours, "w", buffering=1, errors="backslashreplace") as error:
        if _is_real(own):
            sys.stderr = error
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            error.flush()
            os.dup2(ours, 2)
            sys.stderr = own


def _is_real(stream: IO[str]) -> bool:
    try:
        return stream.fileno() == 2
    except (OSError, ValueError):
        return False
