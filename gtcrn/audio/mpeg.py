"""Frames of MP3 (ISO 11172-3, 13818-3), counted without decoding: what a header tells of their number may be wrong."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MPEG_1, LAYER_III = 3, 1  # as a frame's header tells version and layer
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # Hz, of a version
BITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # 1,000 a second
BITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
HEAD, TAG_HEAD = 4, 10  # bytes of a frame's header, and of an ID3 tag's
ABOUT = 64  # bytes of the first frame in which its number of frames stands, if at all
PIECE = 4_096  # bytes that are searched at once


@dataclass(frozen=True)
class Frames:
    """How many `samples` a channel there are in `count` frames, and where they `end`.

    `told` is how many the first of them says that follow it (None: it says nothing), in 4 bytes at `told_at`.
    """

    samples: int
    count: int
    end: int
    told: int | None
    told_at: int


def frames_of(file: BinaryIO, start: int = 0) -> Frames | None:
    """All frames of a file with one, or tags and one, at its start or where else it is told; None for others."""
    start = file.seek(_behind_tags(file, start))
    about = file.read(ABOUT)
    if not _size(about):
        return None
    samples = count = end = 0
    for at, size, held in _walk(file, start):
        samples, count, end = samples + held, count + 1, at + size
    return Frames(samples, count, end, *_told(about, start))


def _behind_tags(file: BinaryIO, start: int) -> int:
    at = file.seek(start)
    while size := _tag_size(file.read(TAG_HEAD)):
        at = file.seek(at + size)
    return at


def _tag_size(head: bytes) -> int:
    """Bytes of the ID3 tag that begins so; 0: none does."""
    if head[:3] != b"ID3" or len(head) < TAG_HEAD:
        return 0
    return TAG_HEAD + sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))


def _walk(file: BinaryIO, at: int) -> Iterator[tuple[int, int, int]]:
    """Where each frame is, its bytes and samples, from the one here on, past tags and damage."""
    in_step = True
    while True:
        file.seek(at)
        head = file.read(TAG_HEAD)
        size = _size(head)
        if size and (in_step or _is_frame(file, at + size)):
            yield at, size, 1152 if _version(head) == MPEG_1 else 576
            at, in_step = at + size, True
        elif len(head) < HEAD:
            return
        else:
            at, in_step = _next_mark(file, at + (_tag_size(head) or 1)), False


def _size(head: bytes) -> int:
    """Bytes of the frame of layer III that begins so; 0: none does, or one of a free bit rate."""
    if len(head) < HEAD or head[0] != 0xFF or head[1] >> 5 != 7 or head[1] >> 1 & 3 != LAYER_III:
        return 0
    version, bits, rate = _version(head), head[2] >> 4, head[2] >> 2 & 3
    if version not in RATES or bits == 15 or rate == 3:
        return 0
    a_second = (BITS_1 if version == MPEG_1 else BITS_2)[bits] * 1_000
    return a_second and (144 if version == MPEG_1 else 72) * a_second // RATES[version][rate] + (head[2] >> 1 & 1)


def _version(head: bytes) -> int:
    return head[1] >> 3 & 3


def _is_frame(file: BinaryIO, at: int) -> bool:
    """Whether a frame begins here, or nothing does any more."""
    file.seek(at)
    head = file.read(HEAD)
    return bool(_size(head)) or len(head) < HEAD


def _next_mark(file: BinaryIO, at: int) -> int:
    """The next place where a frame or a tag may begin, or the end."""
    file.seek(at)
    while piece := file.read(PIECE):
        if found := re.search(rb"\xff|I", piece):
            return at + found.start()
        at += len(piece)
    return file.seek(0, io.SEEK_END)


def _told(frame: bytes, at: int) -> tuple[int | None, int]:
    """The number of frames behind the first that it tells, and where that stands (Xing's and Fraunhofer's ways)."""
    if found := re.search(rb"(?:Xing|Info)...[\x00-\xff]|VBRI.{10}", frame, re.DOTALL):
        mark, place = found[0], found.end()
        if mark[:4] == b"VBRI" or mark[7] & 1:
            return int.from_bytes(frame[place : place + 4], "big"), at + place
    return None, 0
