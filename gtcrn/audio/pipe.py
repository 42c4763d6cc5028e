"""Standard input and output, live: what has come in goes out before the next chunk is waited for."""

from collections.abc import Iterator
from typing import IO, Protocol

from gtcrn.audio.files import Samples
from gtcrn.audio.formats import AudioFormat
from gtcrn.audio.pcm import ENDLESS, PcmFormat, header, read_header
from gtcrn.errors import AudioError

CHUNK = 1 << 16  # bytes that are taken from a pipe at once, at most
SUBTYPES = {
    "u8": "PCM_U8",
    "s16le": "PCM_16",
    "s24le": "PCM_24",
    "s32le": "PCM_32",
    "f32le": "FLOAT",
    "f64le": "DOUBLE",
}


class Pipe(Protocol):
    """A binary stream whose `read1` returns what is there, waiting only while there is nothing."""

    def read(self, size: int, /) -> bytes: ...
    def read1(self, size: int, /) -> bytes: ...


class PipeReader:
    """WAV, or raw PCM of a given format, from a pipe; nothing is sought, so the length may be unknown.

    Raises AudioError for a stream that is empty, no WAV, or shorter than its header says.
    """

    name = "standard input"

    def __init__(self, pipe: Pipe, raw: PcmFormat | None = None) -> None:
        self._pipe = pipe
        self.pcm, self._left = (raw, None) if raw else read_header(pipe.read, self.name)
        self.frames = None if self._left is None else self._left // self.pcm.frame_bytes
        self.format = AudioFormat(self.pcm.sample_rate, self.pcm.channels, "WAV", SUBTYPES[self.pcm.encoding])

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


class PipeWriter:
    """WAV, or raw PCM, to a pipe, each block at once; the header says an unknown length where `frames` is None."""

    def __init__(self, pipe: IO[bytes], pcm: PcmFormat, frames: int | None, raw: bool) -> None:
        self._pipe, self._pcm = pipe, pcm
        self.clipped = 0
        size = None if frames is None else frames * pcm.frame_bytes
        if not raw:
            self._send(header(pcm, None if size is None or size >= ENDLESS else size))

    def write(self, samples: Samples) -> None:
        """Send (channels, n)."""
        data, clipped = self._pcm.encode(samples)
        self.clipped += clipped
        if data:
            self._send(data)

    def _send(self, data: bytes) -> None:
        self._pipe.write(data)
        self._pipe.flush()


def pcm_of(form: AudioFormat, subtype: str | None = None) -> PcmFormat:
    """PCM for a stream in the `subtype` that was asked for or, where PCM can be it, the source's; else 16 bits.

    Raises AudioError for a subtype that is no PCM.
    """
    encodings = {name: encoding for encoding, name in SUBTYPES.items()}
    if subtype is not None and subtype.upper() not in encodings:
        raise AudioError(f"a stream cannot hold {subtype}; it holds {', '.join(encodings)}.")
    encoding = encodings.get((subtype or form.subtype).upper(), "s16le")
    return PcmFormat(form.sample_rate, form.channels, encoding)
