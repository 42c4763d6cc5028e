"""Audio files out, by libsndfile: integer formats come back bit for bit, what is beyond full scale is clipped."""

import contextlib
import os
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from gtcrn.audio.formats import BITS, UNLIMITED, AudioFormat, refuse_too_long
from gtcrn.audio.pcm import quantise
from gtcrn.audio.place import Place
from gtcrn.audio.rates import level
from gtcrn.audio.tags.keep import TagWriter
from gtcrn.audio.tags.values import Tags
from gtcrn.errors import AudioError, GtcrnError
from gtcrn.types import Samples

BETTER = {  # than what libsndfile says of MP3
    "does not exist or is not a regular file": "format not recognised",
    "unspecified internal error": "its frames cannot be decoded",
}


class Sink(Protocol):
    """Where blocks go; `clipped` counts samples beyond full scale."""

    clipped: int

    def write(self, samples: Samples) -> None: ...


class Writer:
    """An audio file to be, as a context manager: it appears at `path` complete when the block ends without an error.

    `form` is what `target_format` gave; `tags` are kept as far as it holds them, `bit_rate` (bits a second) if it has
    one. Raises AudioError for a format that is impossible, GtcrnError when there is no place to write it.
    """

    def __init__(
        self, path: str | os.PathLike[str], form: AudioFormat, tags: Tags | None = None, bit_rate: int | None = None
    ) -> None:
        self.format, self._kept, self._bit_rate = form, tags or Tags(), bit_rate
        self.clipped = self._written = 0
        self._place = Place(path)

    def __enter__(self) -> Self:
        self._place.__enter__()
        try:
            self._file = self._open()
        except BaseException as error:
            self._place.__exit__(type(error), error, None)
            raise
        return self

    def _open(self) -> soundfile.SoundFile:
        form = self.format
        kept = {"format": form.container, "subtype": form.subtype, **level(form, self._bit_rate)}
        try:
            self._tags = TagWriter(self._place.file, form.container, self._kept)
            target = self._tags.target()
            file = soundfile.SoundFile(target, "w", form.sample_rate, form.channels, closefd=False, **kept)
            self._tags.begin(file)
            return file
        except soundfile.LibsndfileError as error:
            raise AudioError(f"{self._place.path} cannot be written as {form}: {library_reason(error)}") from error

    def write(self, samples: Samples) -> None:
        """Append (channels, n). Raises AudioError as soon as there is more than the container holds."""
        refuse_too_long(self.format, self._written + samples.shape[1])
        frames, clipped = storable(samples.T, self.format.subtype)
        try:
            self._file.write(frames)
        except (AssertionError, OSError, soundfile.LibsndfileError) as error:
            raise self._incomplete() from error
        self.clipped += clipped
        self._written += samples.shape[1]

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            with contextlib.suppress(soundfile.LibsndfileError):
                self._file.close()
            if kind is None:
                self._finish_tags()
                self._refuse_incomplete()
        except BaseException as failure:
            kind, error = type(failure), failure
            raise
        finally:
            self._place.__exit__(kind, error, None)

    def _finish_tags(self) -> None:
        try:
            self._tags.finish()
        except OSError as error:
            raise self._incomplete() from error

    def _refuse_incomplete(self) -> None:
        """What an encoder holds back until the end can fail without a word: look at what is there."""
        os.lseek(self._place.file, 0, os.SEEK_SET)
        try:
            with soundfile.SoundFile(self._place.file, closefd=False) as file:
                complete = file.frames >= self._written
        except soundfile.LibsndfileError:
            complete = False
        if not complete:
            raise self._incomplete()

    def _incomplete(self) -> GtcrnError:
        return GtcrnError(f"{self._place.path} cannot be written to its end; the disk may be full.")


def storable(frames: Samples, subtype: str) -> tuple[NDArray[Any], int]:
    """Frames (n, channels) as libsndfile takes them without rounding of its own, and how many samples were clipped."""
    if subtype in UNLIMITED:
        return frames, 0
    if bits := BITS.get(subtype):
        values, clipped = quantise(frames, bits)
        return values << (32 - bits), clipped
    return np.clip(frames, -1, 1), int(np.count_nonzero(np.abs(frames) > 1))


def library_reason(error: soundfile.LibsndfileError) -> str:
    """libsndfile's words as the end of our sentence, but for those that are not true here."""
    words = str(error.error_string).strip().rstrip(".").lower().removeprefix("error : ")
    return f"{next((better for its, better in BETTER.items() if its in words), words)}."
