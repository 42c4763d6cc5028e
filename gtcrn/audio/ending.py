"""Whether a file is there to its end, where libsndfile and FFmpeg take one that breaks off for a shorter one."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal

import soundfile

from gtcrn.audio.tags.ogg import HEAD
from gtcrn.errors import AudioError

LARGEST = HEAD + 255 + 255 * 255  # bytes of a page
FLAGS, LAST = 5, 4  # where a page's flags are, and that of a stream's last page (RFC 3533, 6)
PROMISING = ("matroska", "mov", "asf")  # FFmpeg's names of containers whose header tells the length of all
SLACK_SECONDS, SLACK_SHARE = 0.5, 0.01  # by which that may be too long
MICROSECONDS = 1_000_000  # FFmpeg's unit of a container's times
Ends = Literal["any", "whole", "told"]  # which files are taken: all, complete ones, those that also say their length


def ogg_ending(source: Path | BinaryIO) -> Literal["whole", "open", "cut"]:
    """whole; open: no page says that it is the last; cut: a page is not there to its end."""
    with _at_hand(source) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2 * LARGEST))
        tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < HEAD or len(page) < page_size(page):
        return "cut"
    return "whole" if page[FLAGS] & LAST else "open"


def page_size(start: bytes) -> int:
    """Bytes of the page of an Ogg file that begins so; where its head breaks off, of a head alone."""
    if len(start) < HEAD:
        return HEAD
    segments = start[HEAD - 1]
    return HEAD + segments + sum(start[HEAD : HEAD + segments])


def flac_is_whole(source: Path | BinaryIO, frames: int) -> bool:
    """Whether the last of so many samples is there."""
    with _at_hand(source) as file, suppress(soundfile.LibsndfileError):
        file.seek(0)
        with soundfile.SoundFile(file) as sound:
            sound.seek(frames - 1)
            return len(sound.read(1)) == 1
    return False


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


class Ending:
    """How far the packets of a container reach, beside what its header promises, in seconds."""

    def __init__(self, container: Any) -> None:
        told = any(name in container.format.name for name in PROMISING) and container.duration
        self._promised = told / MICROSECONDS if told else 0.0
        self._start = (container.start_time or 0) / MICROSECONDS
        self._reached = 0.0

    def see(self, packet: Any) -> None:
        if packet.size and packet.pts is not None:
            self._reached = max(self._reached, float((packet.pts + (packet.duration or 0)) * packet.time_base))

    def lack(self) -> str | None:
        """What of the sound is not there, where that can be told."""
        reached = self._reached - self._start
        if reached + SLACK_SECONDS + SLACK_SHARE * self._promised >= self._promised:
            return None
        return f"{reached:.1f} s are left of {self._promised:.1f} s"


def remark_on(name: str, ends: Ends, ending: Ending, damaged: int) -> str | None:
    """A sentence about a file that broke off or is damaged. Raises AudioError where such files are not taken."""
    what = f"{damaged} packet{'s' * (damaged > 1)} of its sound cannot be decoded" if damaged else ending.lack()
    if what is None:
        return None
    if ends != "any":
        raise AudioError(f"{name} is truncated: {what}.")
    return f"{name} is {'damaged or ' if damaged else ''}truncated: {what}; it is read as far as it goes."
