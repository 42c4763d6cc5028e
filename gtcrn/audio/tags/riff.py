"""Chunks of a WAV beside its sound: bext, iXML, cue, LIST and whatever else a recorder wrote.

RF64 (EBU Tech 3306) has its lengths in a chunk ds64, which comes first.
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from gtcrn.audio.pcm import UNKNOWN_LENGTH
from gtcrn.audio.tags.values import MOST, Chunks

HEAD = 12  # bytes: RIFF, size, WAVE
MOST_CHUNKS = 1_000
FARTHEST = (1 << 62) - 1  # byte of a file: what a damaged ds64 tells may be beyond all
OF_THE_SOUND = (b"fmt ", b"data", b"ds64", b"fact", b"PEAK", b"levl", b"MD5 ", b"wavl", b"slnt")  # true of it alone
FILLERS = (b"JUNK", b"junk", b"PAD ", b"FLLR", b"filr")


def walk(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Names and sizes of the chunks, `file` at the body of each, up to samples whose end is not told."""
    at, large = HEAD, 0
    for _ in range(MOST_CHUNKS):
        file.seek(at)
        if not is_chunk(head := file.read(8)):
            return
        name, size = struct.unpack("<4sI", head)
        if name == b"ds64":
            large = int.from_bytes(file.read(16)[8:], "little")
            file.seek(at + 8)
        if name == b"data" and size == UNKNOWN_LENGTH:
            size = large
        yield name, size
        if name == b"data" and not size:
            return
        at += 8 + size + size % 2
        if at > FARTHEST:
            return


def is_chunk(head: bytes) -> bool:
    """Whether 8 bytes can be a name and a size."""
    return len(head) == 8 and head[:4].isascii() and head[:4].decode().isprintable()


def read_chunks(file: BinaryIO) -> tuple[Chunks, Chunks]:
    """Chunks before the samples and behind them that stay true when these change; what is too large is left out."""
    found: tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes]]] = [], []
    left, behind = MOST, False
    for name, size in walk(file):
        behind |= name == b"data"
        if name in OF_THE_SOUND + FILLERS or size > left:
            continue
        if len(body := file.read(size)) < size:
            break
        left -= size
        found[behind].append((name, body))
    return tuple(found[0]), tuple(found[1])


def packed(chunks: Chunks) -> bytes:
    """The chunks as they stand in a file."""
    return b"".join(struct.pack("<4sI", name, len(body)) + body + b"\0" * (len(body) % 2) for name, body in chunks)


def format_end(header: bytes) -> int:
    """Where the chunk fmt of a header ends, which others may follow."""
    at = HEAD
    while header[at : at + 4] == b"ds64":
        at += 8 + int.from_bytes(header[at + 4 : at + 8], "little")
    return at + 8 + int.from_bytes(header[at + 4 : at + 8], "little")


def append(file: int, chunks: Chunks) -> int:
    """Put chunks at the end; the bytes that the file has more."""
    end = os.lseek(file, 0, os.SEEK_END)
    data = b"\0" * (end % 2) + packed(chunks) if chunks else b""
    while data:
        data = data[os.write(file, data) :]
    return os.lseek(file, 0, os.SEEK_END) - end


def lengthen(file: int, added: int) -> None:
    """Tell the header of a WAV or RF64 that it has so many bytes more."""
    os.lseek(file, 0, os.SEEK_SET)
    start = os.read(file, HEAD + 8 + 8)
    at, kind = (20, "<Q") if start[:4] == b"RF64" else (4, "<I")
    (size,) = struct.unpack_from(kind, start, at)
    os.lseek(file, at, os.SEEK_SET)
    os.write(file, struct.pack(kind, size + added))
