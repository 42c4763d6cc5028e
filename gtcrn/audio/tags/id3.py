"""ID3v2 in front of an MP3: texts and pictures (id3.org, versions 2.3 and 2.4; written as 2.4)."""

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from gtcrn.audio.tags.values import MOST, Picture, mime_of

HEAD = 10  # bytes
FRAMES = {
    "TIT2": "title",
    "TPE1": "artist",
    "TALB": "album",
    "TDRC": "date",
    "TYER": "date",
    "TCON": "genre",
    "TRCK": "tracknumber",
    "TCOP": "copyright",
    "COMM": "comment",
    "TXXX": "comment",
}
ENCODINGS = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}
UTF_8 = b"\x03"


def read_id3(file: BinaryIO) -> tuple[dict[str, str], list[Picture]]:
    """Texts and pictures, as far as they can be read."""
    texts: dict[str, str] = {}
    pictures: list[Picture] = []
    file.seek(0)
    head = file.read(HEAD)
    if head[:3] != b"ID3" or head[3] not in (3, 4):
        return texts, pictures
    for name, body in _frames(file.read(min(_from_7_bits(head[6:]), MOST)), head[3], bool(head[5] & 0x80)):
        if name == "APIC":
            pictures += _picture(body)
        elif name in FRAMES and (text := _text(name, body)):
            texts.setdefault(FRAMES[name], text)
    return texts, pictures


def _frames(data: bytes, version: int, swollen: bool) -> Iterator[tuple[str, bytes]]:
    """Names and bodies of plain frames; compressed and encrypted ones are passed over."""
    if swollen and version == 3:  # zeros that keep players from taking it for sound
        data = data.replace(b"\xff\0", b"\xff")
    at = 0
    while re.fullmatch(rb"[A-Z][A-Z0-9]{3}", data[at : at + 4]):
        raw, flags = data[at + 4 : at + 8], data[at + 9 : at + 10]
        size = _from_7_bits(raw) if version == 4 else int.from_bytes(raw, "big")
        body = data[at + HEAD : at + HEAD + size]
        if version == 4 and flags and flags[0] & 0x02:
            body = body.replace(b"\xff\0", b"\xff")
        if version == 4 and flags and flags[0] & 0x01:
            body = body[4:]  # its length once more
        if flags and not flags[0] & (0x0C if version == 4 else 0xC0) and len(body):
            yield data[at : at + 4].decode(), body
        at += HEAD + size


def _from_7_bits(data: bytes) -> int:
    size = 0
    for byte in data:
        size = size << 7 | byte & 0x7F
    return size


def _text(name: str, body: bytes) -> str:
    encoding = ENCODINGS.get(body[0], "latin-1")
    if name == "TXXX":  # FFmpeg keeps a comment so
        title, text = _split(body[1:], encoding)
        return text.decode(encoding, "replace") if title.decode(encoding, "replace").lower() == "comment" else ""
    if name == "COMM":  # a language and a short description come first
        return _split(body[4:], encoding)[1].decode(encoding, "replace").strip("\0\ufeff")
    return body[1:].decode(encoding, "replace").strip("\0\ufeff").replace("\0", "; ")


def _split(data: bytes, encoding: str) -> tuple[bytes, bytes]:
    """What stands before the first end of a text, and behind it."""
    width = 2 if encoding.startswith("utf-16") else 1
    for at in range(0, len(data), width):
        if not any(data[at : at + width]):
            return data[:at], data[at + width :]
    return data, b""


def _picture(body: bytes) -> list[Picture]:
    _, rest = _split(body[1:], "latin-1")  # its type is told by its first bytes
    data = _split(rest[1:], ENCODINGS.get(body[0], "latin-1"))[1]
    mime = mime_of(data)
    return [Picture(data, mime, rest[0] if rest[0] <= 20 else 0)] if mime else []


def packed_id3(texts: Mapping[str, str], pictures: tuple[Picture, ...]) -> bytes:
    """A tag; empty where there is nothing to tell."""
    names = {name: frame for frame, name in FRAMES.items() if frame not in ("TYER", "TXXX")}
    frames = b""
    for name, text in texts.items():
        if frame := names.get(name):
            before = b"und\0" if frame == "COMM" else b""
            frames += _frame(frame, UTF_8 + before + text.encode("utf-8", "replace"))
    for picture in pictures:
        frames += _frame("APIC", UTF_8 + picture.mime.encode() + bytes([0, picture.kind, 0]) + picture.data)
    return b"ID3\x04\0\0" + _to_7_bits(len(frames)) + frames if frames else b""


def _frame(name: str, body: bytes) -> bytes:
    return name.encode() + _to_7_bits(len(body)) + b"\0\0" + body


def _to_7_bits(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
