"""Files whose header tells a length that is not true, as they would be had it told the truth."""

import io
from typing import BinaryIO

from gtcrn.audio.mpeg import Frames, frames_of
from gtcrn.audio.pcm import UNKNOWN_LENGTH
from gtcrn.audio.tags.riff import HEAD, is_chunk, walk

STRETCH = 64  # times: over any estimate from the largest frames of what are the smallest
MP3_TAG = b"\x55\0"  # of a WAV's format
TAG = 128  # bytes at the end of an MP3, in which libmpg123 looks for titles


class Mended(io.RawIOBase):
    """A file with other bytes at a place; `samples` is the length of a channel, where libsndfile does not know it."""

    def __init__(self, file: BinaryIO, at: int = 0, new: bytes = b"", samples: int | None = None) -> None:
        self._file, self._at, self._new, self.samples = file, at, new, samples

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: object) -> int:
        view, start = memoryview(buffer).cast("B"), self.tell()  # type: ignore[arg-type]
        data = self._file.read(len(view))
        view[: len(data)] = data
        for place in range(max(start, self._at), min(start + len(data), self._at + len(self._new))):
            view[place - start] = self._new[place - self._at]
        return len(data)


class Stretched(Mended):
    """An MP3 that says nothing of its length, as a much longer file that breaks off behind its last frame.

    libmpg123 estimates the length from that of the file and its first frames, and reads no further; so it reads all.
    """

    def __init__(self, file: BinaryIO, frames: Frames) -> None:
        super().__init__(file, samples=frames.samples)
        self._end, self._size = frames.end, STRETCH * frames.end

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            return super().seek(self._size + offset)
        return super().seek(offset, whence)

    def readinto(self, buffer: object) -> int:
        view, start = memoryview(buffer).cast("B"), self.tell()  # type: ignore[arg-type]
        if start < self._size - TAG:
            return super().readinto(view[: max(0, self._end - start)])
        count = min(len(view), self._size - start)
        view[:count] = bytes(count)  # no title
        self.seek(start + count)
        return count


def mended(file: BinaryIO) -> Mended | None:
    """What is to be read instead of a file whose length is told wrongly or not at all; None: the file itself."""
    made = _mended_wav(file) or _mended_mp3(file)
    file.seek(0)
    return made


def _mended_wav(file: BinaryIO) -> Mended | None:
    """A recorder ended before it wrote the length of its samples: 0 stands there, and they go on to the end.

    Or the samples are an MP3.
    """
    file.seek(0)
    if file.read(HEAD)[8:] != b"WAVE":
        return None
    tag = b""
    for name, size in walk(file):
        tag = file.read(2) if name == b"fmt " else tag
        if name == b"data" and tag == MP3_TAG:
            return _mended_mp3_within(file, file.tell(), size)
        if name == b"data" and not size:
            at, rest = file.tell() - 4, file.read(8)
            return Mended(file, at, UNKNOWN_LENGTH.to_bytes(4)) if rest and not is_chunk(rest) else None
    return None


def _mended_mp3_within(file: BinaryIO, start: int, size: int) -> Mended | None:
    """Of one that breaks off it can be told as it is."""
    frames = frames_of(file, start)
    return Stretched(file, frames) if frames and start + size <= file.seek(0, io.SEEK_END) else None


def _mended_mp3(file: BinaryIO) -> Mended | None:
    """Frames are counted; a number before them that is too large is left, as that of a file that breaks off."""
    if not (frames := frames_of(file)):
        return None
    if not frames.told:
        return Stretched(file, frames)
    behind = frames.count - 1
    return Mended(file, frames.told_at, behind.to_bytes(4)) if frames.told < behind else None
