"""Standard input and output, live: what has come in goes out before the next chunk is waited for."""

import contextlib
import tempfile
from collections.abc import Iterator
from typing import IO, BinaryIO, Protocol

from gtcrn.audio.encode import Encoder
from gtcrn.audio.ending import Ends
from gtcrn.audio.files import Source
from gtcrn.audio.formats import AudioFormat
from gtcrn.audio.limits import judge
from gtcrn.audio.media import open_audio
from gtcrn.audio.pcm import ENCODINGS, PcmFormat, is_wav, read_header
from gtcrn.audio.tags.values import Tags
from gtcrn.errors import AudioError
from gtcrn.types import Samples

CHUNK = 1 << 16  # bytes that are taken from a pipe at once, at most
START = 12  # bytes that tell WAV from the rest


class Pipe(Protocol):
    """A binary stream whose `read1` returns what is there, waiting only while there is nothing."""

    def read(self, size: int, /) -> bytes: ...
    def read1(self, size: int, /) -> bytes: ...


class PipeReader:
    """WAV, or raw PCM of a given format, from a pipe; nothing is sought, so the length may be unknown.

    `start` is what has been read of the pipe already. Raises AudioError for a stream that is empty, no WAV, or shorter
    than its header says.
    """

    name = "standard input"
    remark: str | None = None

    def __init__(self, pipe: Pipe, raw: PcmFormat | None = None, start: bytes = b"") -> None:
        self._pipe, self._start = pipe, start
        self.pcm, self._left = (raw, None) if raw else read_header(self._read, self.name)
        judge(self.pcm.sample_rate, self.pcm.channels)
        self.frames = None if self._left is None else self._left // self.pcm.frame_bytes
        self.format = AudioFormat(self.pcm.sample_rate, self.pcm.channels, "WAV", ENCODINGS[self.pcm.encoding].subtype)

    def _read(self, size: int) -> bytes:
        start, self._start = self._start[:size], self._start[size:]
        return start + self._pipe.read(size - len(start))

    @property
    def seconds(self) -> float | None:
        """Length, if it is told."""
        return self.frames / self.pcm.sample_rate if self.frames else None

    def exact_frames(self) -> int | None:
        """The length, if it is told: a stream that breaks off before is refused."""
        return self.frames

    def tags(self) -> Tags:
        """None: what a pipe carries is its sound."""
        return Tags()

    def bit_rate(self) -> None:
        """None: nothing is lost in PCM."""

    def blocks(self) -> Iterator[Samples]:
        """Samples (channels, n) as they arrive."""
        data, total = b"", 0
        while chunk := self._pipe.read1(CHUNK if self._left is None else min(CHUNK, self._left)):
            if self._left is not None:
                self._left -= len(chunk)
            data += chunk
            whole = len(data) - len(data) % self.pcm.frame_bytes
            total += whole
            yield self.pcm.decode(data[:whole])
            data = data[whole:]
        if self._left or data:
            raise AudioError(f"{self.name} is truncated: it breaks off after {total // self.pcm.frame_bytes} samples.")
        if not total:
            raise AudioError(f"{self.name} holds no samples.")


def read_pipe(pipe: Pipe, raw: PcmFormat | None, stack: contextlib.ExitStack, ends: Ends) -> Source:
    """WAV or raw PCM live; a file of another kind once it is there whole, kept in a temporary file until then."""
    if raw:
        return PipeReader(pipe, raw)
    start = pipe.read(START)
    if not start or is_wav(start):
        return PipeReader(pipe, None, start)
    whole: BinaryIO = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
    whole.write(start)
    while chunk := pipe.read(CHUNK):
        whole.write(chunk)
    whole.seek(0)
    reader: contextlib.AbstractContextManager[Source] = open_audio(whole, PipeReader.name, ends)
    return stack.enter_context(reader)


class PipeWriter:
    """What an encoder makes of the samples to a pipe, each block at once. `finish` sends what it held back."""

    def __init__(self, pipe: IO[bytes], encoder: Encoder) -> None:
        self._pipe, self._encoder, self.clipped = pipe, encoder, 0

    def write(self, samples: Samples) -> None:
        """Send (channels, n)."""
        self._send(self._encoder.encode(samples))
        self.clipped = self._encoder.clipped

    def finish(self) -> None:
        self._send(self._encoder.finish())

    def _send(self, data: bytes) -> None:
        if data:
            self._pipe.write(data)
            self._pipe.flush()
