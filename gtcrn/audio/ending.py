"""Whether an Ogg file is there to its end: libsndfile takes one that breaks off for a shorter one."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from gtcrn.audio.tags.ogg import HEAD

LARGEST = HEAD + 255 + 255 * 255  # bytes of a page
FLAGS, LAST = 5, 4  # where a page's flags are, and that of a stream's last page (RFC 3533, 6)
Ending = Literal["whole", "open", "cut"]


def ogg_ending(source: Path | BinaryIO) -> Ending:
    """whole; open: no page says that it is the last; cut: a page is not there to its end."""
    with _at_hand(source) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2 * LARGEST))
        tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < HEAD or len(page) < HEAD + page[HEAD - 1] + sum(page[HEAD : HEAD + page[HEAD - 1]]):
        return "cut"
    return "whole" if page[FLAGS] & LAST else "open"


@contextmanager
def _at_hand(source: Path | BinaryIO) -> Iterator[BinaryIO]:
    """The file, at the end where it was before."""
    if isinstance(source, Path):
        with open(source, "rb") as file:
            yield file
        return
    before = source.tell()
    yield source
    source.seek(before, io.SEEK_SET)
