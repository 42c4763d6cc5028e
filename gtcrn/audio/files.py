"""Audio files in and out, block by block: the one place that decides what bad audio is and how samples are kept.

Samples are float32 (channels, n) in [-1, 1). Integer formats come back bit for bit where nothing was changed; what is
beyond full scale is clipped and counted. A file is written beside its place and renamed, so it is whole or not there.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from gtcrn.audio.formats import BITS, UNLIMITED, AudioFormat
from gtcrn.audio.pcm import ENDLESS, UNKNOWN_LENGTH, quantise
from gtcrn.errors import AudioError, GtcrnError

Samples = NDArray[np.float32]  # (C, n)

BLOCK = 65_536  # samples a channel in one block
SLACK = 16  # bytes that sloppy but complete files promise too much


class Source(Protocol):
    """Where blocks come from: a file or a pipe. `frames` is the length in samples where it is known beforehand."""

    name: str
    format: AudioFormat
    frames: int | None

    def blocks(self) -> Iterator[Samples]: ...


class Sink(Protocol):
    """Where blocks go; `clipped` counts samples beyond full scale."""

    clipped: int

    def write(self, samples: Samples) -> None: ...


class _ForwardFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read once from start to end: soundfile would seek after every read, which harms MP3."""

    def seekable(self) -> bool:
        return False


class Reader:
    """An audio file of any kind that libsndfile reads, as a context manager.

    Raises AudioError when it is missing, empty, no audio, or shorter than its header says.
    """

    def __init__(self, path: str | os.PathLike[str] | BinaryIO, name: str | None = None) -> None:
        self.name = name or (os.fspath(path) if isinstance(path, str | os.PathLike) else "the upload")
        if isinstance(path, str | os.PathLike):
            _refuse_no_file(Path(path))
        try:
            self._file = _ForwardFile(path)
        except soundfile.LibsndfileError as error:
            raise AudioError(f"{self.name} is not audio that can be read: {_reason(error)}") from error
        file = self._file
        self.format = AudioFormat(file.samplerate, file.channels, file.format, file.subtype)
        self.frames: int | None = self._file.frames
        try:
            self._refuse_short()
        except AudioError:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _refuse_short(self) -> None:
        for line in self._file.extra_info.splitlines():  # libsndfile's account of the header
            if found := re.search(r"(\d+) \(should be (\d+)\)", line):
                promised, there = int(found[1]), int(found[2])
                if promised > there + SLACK and not ENDLESS <= promised <= UNKNOWN_LENGTH:
                    raise AudioError(f"{self.name} is truncated: {there} bytes are left of {promised}.")
        if self.frames == 0:
            raise AudioError(f"{self.name} holds no samples.")

    def blocks(self, size: int = BLOCK) -> Iterator[Samples]:
        """The samples in order, at most `size` of a channel at once. Raises AudioError where the file breaks off."""
        position = 0
        while True:
            try:
                block = self._file.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise AudioError(f"{self.name} is damaged or truncated: {_reason(error)}") from error
            if not len(block):
                break
            position += len(block)
            yield np.ascontiguousarray(block.T)
        if self.format.container != "MP3" and position < (self.frames or 0):  # an MP3's length is an estimate
            raise AudioError(f"{self.name} is truncated: {position} samples are left of {self.frames}.")


class Writer:
    """An audio file to be, as a context manager: it appears at `path` complete when the block ends without an error.

    Raises AudioError for a format that is impossible, GtcrnError when there is no place to write it to its end.
    """

    def __init__(self, path: str | os.PathLike[str], form: AudioFormat) -> None:
        self.path, self.format = Path(path), form
        self.clipped = self._written = 0
        self._partial = self.path.with_name(f".{self.path.name}.partial")
        if self.path.exists() and not self.path.is_file():
            raise AudioError(f"{self.path} is no ordinary file and cannot be written.")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._partial.touch()  # says why it cannot be, which libsndfile does not
        except OSError as error:
            reason = "not a directory." if isinstance(error, FileExistsError) else _reason(error)
            raise GtcrnError(f"{self.path} cannot be written: {reason}") from error
        self._file = self._open()

    def _open(self) -> soundfile.SoundFile:
        form = self.format
        keep = {"format": form.container, "subtype": form.subtype}
        try:
            return soundfile.SoundFile(self._partial, "w", form.sample_rate, form.channels, **keep)
        except soundfile.LibsndfileError as error:
            self._partial.unlink()
            raise AudioError(f"{self.path} cannot be written as {form}: {_reason(error)}") from error

    def write(self, samples: Samples) -> None:
        """Append (channels, n)."""
        frames, clipped = storable(samples.T, self.format.subtype)
        try:
            self._file.write(frames)
        except (AssertionError, OSError, soundfile.LibsndfileError) as error:
            raise GtcrnError(f"{self.path} cannot be written to its end; the disk may be full.") from error
        self.clipped += clipped
        self._written += samples.shape[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            with contextlib.suppress(soundfile.LibsndfileError):
                self._file.close()
            if kind is None:
                self._refuse_incomplete()
                self._partial.replace(self.path)
        except OSError as failure:
            raise GtcrnError(f"{self.path} cannot be written: {_reason(failure)}") from failure
        finally:
            self._partial.unlink(missing_ok=True)

    def _refuse_incomplete(self) -> None:
        """What an encoder holds back until the end can fail without a word: look at what is there."""
        try:
            complete = soundfile.info(os.fspath(self._partial)).frames >= self._written
        except soundfile.LibsndfileError:
            complete = False
        if not complete:
            raise GtcrnError(f"{self.path} cannot be written to its end; the disk may be full.")


def storable(frames: Samples, subtype: str) -> tuple[NDArray[Any], int]:
    """Frames (n, channels) as libsndfile takes them without rounding of its own, and how many samples were clipped."""
    if subtype in UNLIMITED:
        return frames, 0
    if bits := BITS.get(subtype):
        values, clipped = quantise(frames, bits)
        return values << (32 - bits), clipped
    return np.clip(frames, -1, 1), int(np.count_nonzero(np.abs(frames) > 1))


def _refuse_no_file(path: Path) -> None:
    if path.is_dir():
        raise AudioError(f"{path} is a folder, not a file.")
    if not path.is_file():
        raise AudioError(f"there is no file {path}.")
    if path.stat().st_size == 0:
        raise AudioError(f"{path} is empty.")


def _reason(error: Exception) -> str:
    """The library's words as the end of our sentence."""
    text = error.error_string if isinstance(error, soundfile.LibsndfileError) else getattr(error, "strerror", None)
    return f"{str(text or error).strip().rstrip('.').lower()}."
