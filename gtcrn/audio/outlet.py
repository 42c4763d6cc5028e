"""A file to libsndfile that is only sent on, never sought in."""

import io


class Outlet(io.RawIOBase):
    """A file that only grows: what is written at its end can be taken; what would change earlier bytes is ignored."""

    def __init__(self) -> None:
        self._taken: list[bytes] = []
        self._place = self._end = 0

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        if self._place == self._end:
            self._taken.append(piece)
            self._end += len(piece)
        self._place += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + (0, self._place, self._end)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1) -> bytes:
        return b""

    def take(self) -> bytes:
        data = b"".join(self._taken)
        self._taken.clear()
        return data
