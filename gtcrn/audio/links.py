"""Recordings one behind the other in an Ogg file (RFC 3533, 4), as radio stations send and `cat` makes them."""

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from gtcrn.audio.ending import page_size
from gtcrn.audio.tags.ogg import HEAD

FIRST_PAGE = re.compile(rb"OggS\0[\2\6]")  # of a stream, which may be its last, too
PIECE = 1 << 20  # bytes that are searched at once
MARK = 6  # bytes of what is looked for


class Link(io.RawIOBase):
    """A file from `start` to `end` as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file, self._start, self._size, self._place = file, start, end - start, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = max(0, offset + (0, self._place, self._size)[whence])
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        self._file.seek(self._start + self._place)
        data = self._file.read(max(0, min(len(view), self._size - self._place)))
        view[: len(data)] = data
        self._place += len(data)
        return len(data)


def links_of(file: BinaryIO) -> list[Link]:
    """The recordings in an Ogg file, in order; none in other files. `file` is left at its start."""
    file.seek(0)
    starts: list[int] = []
    if file.read(4) == b"OggS":
        starts = list(_starts(file))
    ends = [*starts[1:], file.seek(0, io.SEEK_END)]
    file.seek(0)
    return [Link(file, start, end) for start, end in zip(starts, ends, strict=False)]


def _starts(file: BinaryIO) -> Iterator[int]:
    """First pages, but for those right behind another: of streams that are heard and seen at once."""
    behind = -1
    for at in _first_pages(file):
        if at != behind:
            yield at
        file.seek(at)
        behind = at + page_size(file.read(HEAD + 255))


def _first_pages(file: BinaryIO) -> Iterator[int]:
    at = 0
    while True:
        file.seek(at)
        piece = file.read(PIECE)
        yield from (at + found.start() for found in FIRST_PAGE.finditer(piece))
        if len(piece) < PIECE:
            return
        at += PIECE - MARK + 1
