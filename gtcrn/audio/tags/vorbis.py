"""Vorbis comments and FLAC's pictures, which FLAC, Vorbis and Opus share (RFC 9639, 8.6 and 8.8; RFC 7845, 5.2)."""

import base64
import binascii
import struct
from typing import BinaryIO

from gtcrn.audio.tags.values import MOST, Picture, mime_of

COMMENT, PICTURE = 4, 6  # types of FLAC's blocks
MOST_BLOCKS = 128
NAMES = {"description": "comment", "track": "tracknumber", "year": "date"}  # other people's of the same
IN_COMMENTS = "metadata_block_picture"


def read_flac(file: BinaryIO) -> tuple[dict[str, str], list[Picture]]:
    """Texts and pictures of the blocks before the sound."""
    texts: dict[str, str] = {}
    pictures: list[Picture] = []
    file.seek(4)
    for _ in range(MOST_BLOCKS):
        head = file.read(4)
        if len(head) < 4:
            break
        kind, size = head[0] & 0x7F, int.from_bytes(head[1:], "big")
        body = file.read(min(size, MOST)) if kind in (COMMENT, PICTURE) else b""
        file.seek(size - len(body), 1)
        if kind == COMMENT:
            texts, pictures = comments(body)[0], pictures + comments(body)[1]
        elif kind == PICTURE and (picture := read_picture(body)):
            pictures.append(picture)
        if head[0] & 0x80:
            break
    return texts, pictures


def comments(body: bytes) -> tuple[dict[str, str], list[Picture]]:
    """Texts and pictures of a comment block, as far as it can be read."""
    texts: dict[str, str] = {}
    pictures: list[Picture] = []
    at = 4 + int.from_bytes(body[:4], "little")  # past the program's name
    count, at = int.from_bytes(body[at : at + 4], "little"), at + 4
    while count and at + 4 <= len(body):
        size = int.from_bytes(body[at : at + 4], "little")
        name, _, text = body[at + 4 : at + 4 + size].decode("utf-8", "replace").partition("=")
        name, at, count = name.lower(), at + 4 + size, count - 1
        if name == IN_COMMENTS:
            pictures += _decoded(text)
        else:
            texts.setdefault(NAMES.get(name, name), text)
    return texts, pictures


def _decoded(text: str) -> list[Picture]:
    try:
        picture = read_picture(base64.b64decode(text))
    except binascii.Error:
        return []
    return [picture] if picture else []


def read_picture(body: bytes) -> Picture | None:
    """The picture of a block; None where it is damaged or none that other files can hold."""
    kind, at = int.from_bytes(body[:4], "big"), 4
    for beside in (0, 16):  # the type's name; a description, and the picture's measures behind it
        at += 4 + int.from_bytes(body[at : at + 4], "big") + beside
    size = int.from_bytes(body[at : at + 4], "big")
    data = body[at + 4 : at + 4 + size]
    mime = mime_of(data)
    return Picture(data, mime, kind if kind <= 20 else 0) if mime and len(data) == size else None


def packed_picture(picture: Picture) -> bytes:
    """A picture as a block's body; its measures are unknown (0), which readers take from the picture."""
    mime = picture.mime.encode()
    return struct.pack(f">II{len(mime)}sI4II", picture.kind, len(mime), mime, 0, *[0] * 4, len(picture.data)) + (
        picture.data
    )


def flac_blocks(pictures: tuple[Picture, ...]) -> bytes:
    """The pictures as blocks between others."""
    bodies = map(packed_picture, pictures)
    return b"".join(bytes([PICTURE]) + len(body).to_bytes(3, "big") + body for body in bodies)
