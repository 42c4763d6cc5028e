"""Ogg pages (RFC 3533): the comments of Vorbis and Opus read, and pictures put into them while a file is written."""

import base64
import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from gtcrn.audio.outlet import Outlet
from gtcrn.audio.tags.values import MOST, Picture
from gtcrn.audio.tags.vorbis import IN_COMMENTS, comments, packed_picture

HEAD = 27  # bytes of a page before its table of segments
MOST_PAGES = 400  # of headers; a page holds 65,025 bytes
MARKS = (b"OpusTags", b"\x03vorbis")  # with which the packet of comments begins
MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
CONTINUED = 1  # flag of a page that begins within a packet
NO_PACKET_ENDS = b"\xff" * 8  # a page's position then


def read_ogg(file: BinaryIO) -> tuple[dict[str, str], list[Picture]]:
    """Texts and pictures of the first stream."""
    packet = _comment_packet(file)
    mark = next((mark for mark in MARKS if packet.startswith(mark)), None)
    return comments(packet[len(mark) :]) if mark else ({}, [])


def _comment_packet(file: BinaryIO) -> bytes:
    """The second packet, which begins on the second page."""
    file.seek(0)
    packet = b""
    for number in range(MOST_PAGES):
        head = file.read(HEAD)
        if len(head) < HEAD or head[:4] != b"OggS" or len(packet) > 2 * MOST:
            break
        table = file.read(head[26])
        body = file.read(sum(table))
        if number:
            lengths = list(_packets(table))
            packet += body[: lengths[0][0]] if lengths else b""
            if lengths and lengths[0][1]:
                break
    return packet


def _packets(table: bytes) -> Iterator[tuple[int, bool]]:
    """Bytes of each packet on a page, and whether it ends there."""
    size = 0
    for lacing in table:
        size += lacing
        if lacing < 255:
            yield size, True
            size = 0
    if table and table[-1] == 255:
        yield size, False


class OggWithPictures(Outlet):
    """An Ogg file that libsndfile writes page after page: pictures go among its comments, its pages get new numbers."""

    def __init__(self, file: int, pictures: tuple[Picture, ...]) -> None:
        super().__init__()
        self._handle, self._pictures = file, pictures
        self._left = self._headers = b""  # not a whole page yet; pages of the comments so far
        self._pages = 0  # written

    def write(self, data: object) -> int:
        """0 for a disk that is full: an exception would not get through libsndfile, which reports it."""
        size = super().write(data)
        self._left += self.take()
        try:
            while page := self._next_page():
                self._put(page)
        except OSError:
            return 0
        return size

    def _next_page(self) -> bytes:
        if len(self._left) < HEAD or len(self._left) < HEAD + self._left[26]:
            return b""
        size = HEAD + self._left[26] + sum(self._left[HEAD : HEAD + self._left[26]])
        if len(self._left) < size:
            return b""
        page, self._left = self._left[:size], self._left[size:]
        return page

    def _put(self, page: bytes) -> None:
        if self._pages and self._pictures:  # the comments, and in Vorbis what stands behind them on the page
            self._headers += page
            if page[HEAD + page[26] - 1] == 255:
                return
            pages, self._pictures = with_pictures(self._headers, self._pictures), ()
        else:
            pages = [page]
        for each in pages:
            numbered = each[:18] + self._pages.to_bytes(4, "little") + bytes(4) + each[26:]
            _write_all(self._handle, numbered[:22] + checksum(numbered).to_bytes(4, "little") + numbered[26:])
            self._pages += 1


def with_pictures(pages: bytes, pictures: tuple[Picture, ...]) -> list[bytes]:
    """The pages of a stream's second and following headers, the comments with these pictures; numbers to be set."""
    serial, packets = pages[14:18], [b""]
    while pages:
        table = pages[HEAD : HEAD + pages[26]]
        at = HEAD + len(table)
        for size, ends in _packets(table):
            packets[-1] += pages[at : at + size]
            at += size
            packets += [b""] if ends else []
        pages = pages[at:]
    packets[0] = _commented(packets[0], pictures)
    return _paged(packets[:-1], serial)


def _commented(packet: bytes, pictures: tuple[Picture, ...]) -> bytes:
    mark = next(mark for mark in MARKS if packet.startswith(mark))
    at = len(mark) + 4 + int.from_bytes(packet[len(mark) : len(mark) + 4], "little")
    count, end = int.from_bytes(packet[at : at + 4], "little"), at + 4
    for _ in range(count):
        end += 4 + int.from_bytes(packet[end : end + 4], "little")
    added = b""
    for picture in pictures:
        text = IN_COMMENTS.upper().encode() + b"=" + base64.b64encode(packed_picture(picture))
        added += struct.pack("<I", len(text)) + text
    return packet[:at] + struct.pack("<I", count + len(pictures)) + packet[at + 4 : end] + added + packet[end:]


def _paged(packets: list[bytes], serial: bytes) -> list[bytes]:
    table = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    data, pages, continued = b"".join(packets), [], 0
    for start in range(0, len(table), 255):
        lacing = table[start : start + 255]
        body, data = data[: sum(lacing)], data[sum(lacing) :]
        place = bytes(8) if min(lacing) < 255 else NO_PACKET_ENDS
        pages.append(struct.pack("<4sBB8s4s8xB", b"OggS", 0, continued, place, serial, len(lacing)) + lacing + body)
        continued = CONTINUED if lacing[-1] == 255 else 0
    return pages


def checksum(page: bytes) -> int:
    """Ogg's, which is zlib's with the bits of each byte, of the start and of the result the other way round."""
    mirrored = zlib.crc32(page.translate(MIRROR), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
