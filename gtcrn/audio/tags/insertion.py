"""A file to libsndfile in which other bytes stand too, without its knowing: pictures, an ID3 tag, chunks."""

import io
import os
from collections.abc import Callable


class Insertion(io.RawIOBase):
    """`data` stands where `place` says of the first bytes that are written; what is behind lies further on."""

    def __init__(self, file: int, place: Callable[[bytes], int], data: bytes) -> None:
        self._handle, self._place, self._data = file, place, data
        self._at = self._position = 0
        self._there = False

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + (0, self._position, self._size())[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        data = b""
        for start, count in self._parts(max(size, 0)):
            os.lseek(self._handle, start, os.SEEK_SET)
            data += os.read(self._handle, count)
        self._position += len(data)
        return data

    def write(self, data: object) -> int:
        """0 for a disk that is full: an exception would not get through libsndfile, which reports it."""
        piece, done = bytes(data), 0  # type: ignore[call-overload]
        try:
            if not self._there and self._position == 0:
                self._at = self._place(piece)
            for start, count in self._parts(len(piece)):
                if start >= self._at and not self._there:
                    self._put(self._at, self._data)
                    self._there = True
                self._put(start, piece[done : done + count])
                done += count
        except OSError:
            return 0
        self._position += done
        return done

    def _parts(self, count: int) -> list[tuple[int, int]]:
        """Where the next `count` bytes lie in the file: starts and lengths, before the insertion and behind it."""
        before = max(0, min(count, self._at - self._position))
        behind = self._position + before + len(self._data)
        return [part for part in ((self._position, before), (behind, count - before)) if part[1]]

    def _put(self, start: int, data: bytes) -> None:
        os.lseek(self._handle, start, os.SEEK_SET)
        while data:
            data = data[os.write(self._handle, data) :]

    def _size(self) -> int:
        size = os.fstat(self._handle).st_size
        return size - len(self._data) if self._there else size
