"""Tags of a file of any kind, and the way into another."""

import contextlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import soundfile

from gtcrn.audio.tags.id3 import packed_id3, read_id3
from gtcrn.audio.tags.insertion import Insertion
from gtcrn.audio.tags.ogg import OggWithPictures, read_ogg
from gtcrn.audio.tags.riff import append, format_end, lengthen, packed, read_chunks
from gtcrn.audio.tags.values import Tags, bounded, kept_texts
from gtcrn.audio.tags.vorbis import flac_blocks, read_flac

READERS = {"FLAC": read_flac, "OGG": read_ogg, "MP3": read_id3}
WAVS = ("WAV", "WAVEX", "RF64")
STREAMINFO_END = 42  # bytes: fLaC and the block that comes first


def read_tags(path: Path, container: str, texts: Mapping[str, str]) -> Tags:
    """What a file tells, beside the `texts` that libsndfile found. What is damaged is left out, never an error."""
    with contextlib.suppress(OSError, struct.error, IndexError, ValueError), open(path, "rb") as file:
        if container in WAVS:
            return Tags(kept_texts(texts), (), *read_chunks(file))
        if container in READERS:
            found, pictures = READERS[container](file)
            return Tags(kept_texts({**found, **texts}), bounded(pictures))
    return Tags(kept_texts(texts))


class TagWriter:
    """Puts tags into a file while libsndfile writes it: `target` is what that writes to, `finish` comes at the end."""

    def __init__(self, file: int, container: str, tags: Tags) -> None:
        if container == "RF64":  # before the samples libsndfile takes none of odd length
            tags = replace(tags, chunks=(), behind=tags.chunks + tags.behind)
        self._file, self._container, self._tags = file, container, tags
        self._added = b""

    def target(self) -> int | Insertion | OggWithPictures:
        """The file, or one that puts what libsndfile does not write in its place."""
        place, self._added = self._insertion()
        if self._container == "OGG" and self._tags.pictures:
            return OggWithPictures(self._file, self._tags.pictures)
        return Insertion(self._file, place, self._added) if self._added else self._file

    def _insertion(self) -> tuple[Callable[[bytes], int], bytes]:
        """What goes in where."""
        tags = self._tags
        if self._container in WAVS:
            return format_end, packed(tags.chunks)
        if self._container == "FLAC":
            return (lambda _: STREAMINFO_END), flac_blocks(tags.pictures)
        return (lambda _: 0), packed_id3(tags.texts, tags.pictures) if self._container == "MP3" else b""

    def begin(self, file: soundfile.SoundFile) -> None:
        """Texts by libsndfile, as many as the container holds; chunks of a WAV have them already."""
        tags = self._tags
        if self._container == "MP3" or (self._container in WAVS and (tags.chunks or tags.behind)):
            return
        for name, text in tags.texts.items():
            with contextlib.suppress(soundfile.LibsndfileError):
                setattr(file, name, text)

    def finish(self) -> None:
        """Once libsndfile has closed a WAV: chunks behind its samples, and its length."""
        if self._container in WAVS and (added := len(self._added) + append(self._file, self._tags.behind)):
            lengthen(self._file, added)
