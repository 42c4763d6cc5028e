"""Titles, pictures and chunks of a file, whatever its kind, and how much of them is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field

TEXTS = ("title", "artist", "album", "date", "comment", "genre", "tracknumber", "copyright", "license")
Chunks = tuple[tuple[bytes, bytes], ...]  # names of four letters, and bytes
MOST = 8 << 20  # bytes of one chunk or picture, and of all; what is larger is left out
MOST_TEXT = 64 << 10  # characters


@dataclass(frozen=True)
class Picture:
    """A cover: its bytes as a JPEG or PNG file has them, and ID3's number of what it shows (3: the front)."""

    data: bytes
    mime: str
    kind: int = 3


@dataclass(frozen=True)
class Tags:
    """`texts` by the names in TEXTS; `chunks` of a WAV before its samples and `behind` them, in order."""

    texts: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()
    chunks: Chunks = ()
    behind: Chunks = ()


def kept_texts(found: Mapping[str, str]) -> dict[str, str]:
    """Those of TEXTS that are neither empty nor huge."""
    return {name: text for name in TEXTS if 0 < len(text := found.get(name, "").replace("\0", "")) <= MOST_TEXT}


def bounded(pictures: list[Picture]) -> tuple[Picture, ...]:
    """As many pictures, from the first, as fit into MOST together."""
    kept: list[Picture] = []
    for picture in pictures:
        if sum(len(other.data) for other in kept) + len(picture.data) <= MOST:
            kept.append(picture)
    return tuple(kept)


def mime_of(data: bytes) -> str | None:
    """image/jpeg or image/png by the first bytes; None for anything else."""
    if data[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    return "image/png" if data[:8] == b"\x89PNG\r\n\x1a\n" else None
