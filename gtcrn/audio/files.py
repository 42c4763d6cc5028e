"""Audio files in, block by block: the one place that decides what bad audio is. Writing is in `writer`.

Samples are float32 (channels, n) in [-1, 1).
"""

import contextlib
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, Self, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from gtcrn.audio.ending import Ends, flac_is_whole, ogg_ending
from gtcrn.audio.formats import AudioFormat
from gtcrn.audio.links import Link, links_of
from gtcrn.audio.mended import Mended, mended
from gtcrn.audio.pcm import ENDLESS, UNKNOWN_LENGTH
from gtcrn.audio.place import reason_of
from gtcrn.audio.rates import bit_rate_of
from gtcrn.audio.tags.keep import read_tags
from gtcrn.audio.tags.values import Tags, kept_texts
from gtcrn.audio.writer import library_reason
from gtcrn.errors import AudioError, GtcrnError
from gtcrn.types import Samples

BLOCK = 65_536  # samples a channel in one block
UNKNOWN_FRAMES = 1 << 48  # from here on libsndfile means that the file does not say
SLACK = 16  # bytes that sloppy but complete files promise too much
PIECE = 4_096  # samples after which a FLAC that breaks off is asked for more: what it fails over is lost
MP3_SLACK = 2 * 1_152  # samples; and a fiftieth of all, where the length is an estimate


class Source(Protocol):
    """Where blocks come from: a file or a pipe. `frames` is the length in samples where it is known beforehand.

    `seconds` is about that length, which media tell in time only; `exact_frames` is it where it is no estimate and not
    that of a file that breaks off before. `bit_rate` is in bits a second, None where nothing is lost or it is not
    known. `remark`, after the last block, is a sentence about an input that broke off and was taken all the same.
    """

    name: str
    format: AudioFormat
    frames: int | None
    remark: str | None

    @property
    def seconds(self) -> float | None: ...
    def blocks(self) -> Iterator[Samples]: ...
    def exact_frames(self) -> int | None: ...
    def tags(self) -> Tags: ...
    def bit_rate(self) -> int | None: ...


class _ForwardFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read once from start to end: soundfile would seek after every read, which harms MP3."""

    def seekable(self) -> bool:
        return False


class Reader:
    """An audio file of any kind that libsndfile reads, as a context manager.

    Raises AudioError when it is missing, empty, no audio or, unless it may end in `any` way, shorter than it says.
    """

    def __init__(self, path: str | os.PathLike[str] | BinaryIO, name: str | None = None, ends: Ends = "whole") -> None:
        self.name = name or (os.fspath(path) if isinstance(path, str | os.PathLike) else "the upload")
        self._ends, self.remark = ends, cast(str | None, None)
        self._path = Path(path) if isinstance(path, str | os.PathLike) else None
        self._source = self._path or cast(BinaryIO, path)
        if self._path:
            refuse_no_file(self._path)
        self._resources = contextlib.ExitStack()
        if isinstance(path, str | os.PathLike):
            raw: BinaryIO = self._resources.enter_context(open(path, "rb"))  # noqa: SIM115 (the stack closes it)
        else:
            raw = path
        links = links_of(raw)
        instead = mended(raw) or (links[0] if links[1:] else None)
        try:
            self._file = self._resources.enter_context(_ForwardFile(instead or _as_libsndfile_takes_it(path)))
        except (soundfile.LibsndfileError, TypeError) as error:  # of *.raw it wants to be told the rate
            self._resources.close()
            bare = isinstance(error, TypeError)
            reason = "samples without a header; pipe them in with --raw." if bare else library_reason(error)
            raise AudioError(f"{self.name} is not audio that can be read: {reason}") from error
        file = self._file
        self.format = AudioFormat(file.samplerate, file.channels, file.format, file.subtype)
        self.frames: int | None = file.frames if file.frames < UNKNOWN_FRAMES else None
        if isinstance(instead, Mended) and instead.samples and file.subtype == "MPEG_LAYER_III":
            self.frames = instead.samples
        self._further: list[Link] = []
        try:
            self._refuse_short()
            if self.format.container == "OGG":
                self._refuse_open(self._source)
            self._add(links[1:])
        except AudioError:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    @property
    def seconds(self) -> float | None:
        """Length, where the header tells it."""
        return self.frames / self.format.sample_rate if self.frames else None

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def _add(self, links: list[Link]) -> None:
        """What follows in an Ogg file, as far as it is of the same kind."""
        for link in links:
            frames = self._frames_of(link)
            if frames is None:
                self._remark_short(f"has sound of another kind after {self.seconds or 0:.1f} s")
                break
            self._further.append(link)
            self.frames = (self.frames or 0) + frames

    def _frames_of(self, link: Link) -> int | None:
        """None: it cannot be put behind the first."""
        try:
            with _ForwardFile(link) as file:
                alike = (file.samplerate, file.channels) == (self.format.sample_rate, self.format.channels)
                return file.frames if alike and file.frames < UNKNOWN_FRAMES else None
        except soundfile.LibsndfileError:
            return None

    def _refuse_short(self) -> None:
        if self.frames == 0:
            raise AudioError(f"{self.name} holds no samples.")
        for line in self._file.extra_info.splitlines():  # libsndfile's account of the header
            if found := re.search(r"(\d+) \(should be (\d+)\)", line):
                promised, there = int(found[1]), int(found[2])
                if ENDLESS <= promised <= UNKNOWN_LENGTH:
                    self._remark_unknown("how long it is")
                elif promised > there + SLACK:
                    self._remark_short(f"is truncated: {there} bytes are left of {promised}")

    def _remark_short(self, what: str) -> None:
        if self._ends != "any":
            raise AudioError(f"{self.name} {what}.")
        self.remark = f"{self.name} {what}; it is read as far as it goes."

    def _remark_unknown(self, what: str) -> None:
        """Streaming tools write so, and recorders that ended before their time leave it so."""
        if self._ends == "told":
            raise AudioError(f"{self.name} does not say {what}.")
        self.remark = f"{self.name} does not say {what}; it is read to its end."

    def _refuse_open(self, file: Path | BinaryIO) -> None:
        ending = ogg_ending(file)
        if ending == "cut":
            self._remark_short("is truncated: its last page is not complete")
        elif ending == "open":
            self._remark_unknown("that it is complete")

    def exact_frames(self) -> int | None:
        """The length that can be promised: none of MP3, which is estimated, and of a FLAC that breaks off."""
        if self.format.subtype == "MPEG_LAYER_III":
            return None
        if self.format.container == "FLAC" and not flac_is_whole(self._source, self.frames or 0):
            return None
        return self.frames

    def tags(self) -> Tags:
        """Title, cover and the like; of a file without a path, titles alone."""
        texts = self._file.copy_metadata()
        return read_tags(self._path, self.format.container, texts) if self._path else Tags(kept_texts(texts))

    def bit_rate(self) -> int | None:
        """Bits a second of MP3, Vorbis and Opus; None of others, and of files without a path."""
        return bit_rate_of(self._path, self.format, self.frames or 0, self.tags().pictures) if self._path else None

    def blocks(self, size: int = BLOCK) -> Iterator[Samples]:
        """The samples in order, at most `size` of a channel at once. Raises AudioError where the file breaks off."""
        position = 0
        for file in self._files():
            while len(block := self._read(file, size)):
                position += len(block)
                yield np.ascontiguousarray(block.T)
        if not position:
            raise AudioError(f"{self.name} holds no samples.")
        promised = self.frames or 0
        if self.format.subtype == "MPEG_LAYER_III":  # whose length is an estimate, in a WAV too
            promised -= max(MP3_SLACK, promised // 50) if self._ends != "whole" else promised
        if position < promised:
            self._remark_short(f"is truncated: {position} samples are left of {self.frames}")

    def _files(self) -> Iterator[_ForwardFile]:
        yield self._file
        for link in self._further:
            link.seek(0)
            with _ForwardFile(link) as file:
                yield file

    def _read(self, file: _ForwardFile, size: int) -> NDArray[np.float32]:
        """Frames (n, channels). A FLAC that breaks off fails where others give less: what came before is given."""
        step = PIECE if self.format.container == "FLAC" else size
        pieces: list[NDArray[np.float32]] = []
        for start in range(0, size, step):
            try:
                pieces.append(file.read(min(step, size - start), dtype="float32", always_2d=True))
            except soundfile.LibsndfileError as error:
                if self._ends == "any" and step < size and file.tell():
                    break
                raise AudioError(f"{self.name} is damaged or truncated: {library_reason(error)}") from error
            if len(pieces[-1]) < min(step, size - start):
                break
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces or [np.empty((0, 1), np.float32)])


def refuse_no_file(path: Path) -> None:
    """Raises AudioError for a path that is no file with something in it, GtcrnError for one that may not be read."""
    try:
        found = path.stat()
        os.close(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AudioError(f"there is no file {path}.") from error
    except OSError as error:
        raise GtcrnError(f"{path} cannot be read: {reason_of(error)}") from error
    if stat.S_ISDIR(found.st_mode):
        raise AudioError(f"{path} is a folder, not a file.")
    if not stat.S_ISREG(found.st_mode):
        raise AudioError(f"{path} is a pipe or a device, not a file; give it as standard input: - < {path}.")
    if found.st_size == 0:
        raise AudioError(f"{path} is empty.")


def _as_libsndfile_takes_it(path: str | os.PathLike[str] | BinaryIO) -> str | bytes | BinaryIO:
    """A name in the bytes of the system, which need not be UTF-8."""
    if isinstance(path, str | os.PathLike):
        return os.fspath(path) if sys.platform == "win32" else os.fsencode(path)
    return path
