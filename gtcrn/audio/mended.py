"""A WAV whose recorder ended before it wrote the length of its samples: 0 stands there, and they go on to the end."""

import io
from pathlib import Path
from typing import BinaryIO

from gtcrn.audio.pcm import UNKNOWN_LENGTH
from gtcrn.audio.tags.riff import HEAD, is_chunk, walk


class MendedWav(io.FileIO):
    """The file as it would be had the recorder said that the length is unknown."""

    def __init__(self, path: Path, at: int) -> None:
        super().__init__(path)
        self._at = at  # of the length, 4 bytes

    def readinto(self, buffer: object) -> int | None:
        view, start = memoryview(buffer).cast("B"), self.tell()  # type: ignore[arg-type]
        count = super().readinto(view) or 0
        for place in range(max(start, self._at), min(start + count, self._at + 4)):
            view[place - start] = UNKNOWN_LENGTH & 0xFF
        return count


def mended(path: Path) -> MendedWav | None:
    """The file, if it is a WAV with samples behind a length of 0, to be closed by the caller; else None."""
    with open(path, "rb") as file:
        at = _unset_length(file)
    return None if at is None else MendedWav(path, at)


def _unset_length(file: BinaryIO) -> int | None:
    """Where the length of the samples is 0 although something that is no chunk comes behind it."""
    if file.read(HEAD)[8:] != b"WAVE":
        return None
    for name, size in walk(file):
        if name == b"data" and not size:
            at, rest = file.tell() - 4, file.read(8)
            return at if rest and not is_chunk(rest) else None
    return None
