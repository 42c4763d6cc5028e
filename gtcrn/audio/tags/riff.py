"""Chunks of a WAV beside its sound: bext, iXML, cue, LIST and whatever else a recorder wrote.

RF64 (EBU Tech 3306) has its lengths in a chunk ds64, which comes first.
"""

import os
import struct
from typing import BinaryIO

from gtcrn.audio.tags.values import MOST, Chunks

HEAD = 12  # bytes: RIFF, size, WAVE
MOST_CHUNKS = 1_000
OF_THE_SOUND = (b"fmt ", b"data", b"ds64", b"fact", b"PEAK", b"levl", b"MD5 ", b"wavl", b"slnt")  # true of it alone
FILLERS = (b"JUNK", b"junk", b"PAD ", b"FLLR", b"filr")


def read_chunks(file: BinaryIO) -> tuple[Chunks, Chunks]:
    """Chunks before the samples and behind them that stay true when these change; what is too large is left out."""
    found: tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes]]] = [], []
    left, large, behind = MOST, 0, 0
    file.seek(HEAD)
    for _ in range(MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            break
        name, size = struct.unpack("<4sI", head)
        if name == b"ds64":
            large = int.from_bytes(file.read(16)[8:], "little")
            file.seek(-16, os.SEEK_CUR)
        if name == b"data":
            behind, size = 1, large if size == 0xFFFFFFFF else size
        if name not in OF_THE_SOUND + FILLERS and size <= left:
            body = file.read(size)
            if len(body) < size:
                break
            left -= size
            found[behind].append((name, body))
            size = 0
            file.seek(len(body) % 2, os.SEEK_CUR)
        file.seek(size + size % 2, os.SEEK_CUR)
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
