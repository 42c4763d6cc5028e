"""Audio made without seeking back, so that it can be sent while it is made: to a pipe, or as an answer."""

from collections.abc import Iterator
from typing import Protocol

import soundfile

from gtcrn.audio.formats import AudioFormat
from gtcrn.audio.outlet import Outlet
from gtcrn.audio.pcm import BY_SUBTYPE, ENDLESS, PcmFormat, header
from gtcrn.audio.rates import level
from gtcrn.audio.writer import storable
from gtcrn.errors import AudioError
from gtcrn.types import Samples

GROWING = ("WAV", "FLAC", "OGG")  # containers that can be made this way
FLAC_TOTAL = 21  # where the 36 bits of the total begin: the low half of this byte and four more (RFC 9639, 8.2)


class Encoder(Protocol):
    """Samples (channels, n) to the bytes of a file. `size` is the length of the whole in bytes, where it is known.

    `clipped` counts samples beyond full scale.
    """

    clipped: int

    @property
    def size(self) -> int | None: ...

    def encode(self, samples: Samples) -> bytes: ...

    def finish(self) -> bytes: ...


class RawEncoder:
    """PCM without a header."""

    size: int | None = None

    def __init__(self, pcm: PcmFormat) -> None:
        self._pcm, self.clipped = pcm, 0

    def encode(self, samples: Samples) -> bytes:
        data, clipped = self._pcm.encode(samples)
        self.clipped += clipped
        return data

    def finish(self) -> bytes:
        return b""


class WavEncoder(RawEncoder):
    """WAV with the length in its header from the start; without one (`frames` None) it says unknown."""

    def __init__(self, form: AudioFormat, frames: int | None) -> None:
        super().__init__(pcm_of(form))
        data = None if frames is None else frames * self._pcm.frame_bytes
        if data is not None and data >= ENDLESS:
            data = None
        self._pad = b"\0" * ((data or 0) % 2)
        self._head = header(self._pcm, data)
        self.size = None if data is None else len(self._head) + data + len(self._pad)

    def encode(self, samples: Samples) -> bytes:
        head, self._head = self._head, b""
        return head + super().encode(samples)

    def finish(self) -> bytes:
        return self._head + self._pad


class CompressedEncoder:
    """FLAC and Ogg by libsndfile. FLAC gets its total into the header, which libsndfile would add at the end."""

    size: int | None = None

    def __init__(self, form: AudioFormat, frames: int | None, bit_rate: int | None = None) -> None:
        self._form, self._frames, self.clipped = form, frames, 0
        self._outlet = Outlet()
        kept = {"format": form.container, "subtype": form.subtype, **level(form, bit_rate)}
        self._file = soundfile.SoundFile(self._outlet, "w", form.sample_rate, form.channels, **kept)
        self._begun = False

    def encode(self, samples: Samples) -> bytes:
        frames, clipped = storable(samples.T, self._form.subtype)
        self.clipped += clipped
        self._file.write(frames)
        return self._take()

    def finish(self) -> bytes:
        self._file.close()
        return self._take()

    def _take(self) -> bytes:
        data = self._outlet.take()
        if self._begun or self._form.container != "FLAC" or len(data) < FLAC_TOTAL + 5:
            return data
        self._begun = True
        total = (data[FLAC_TOTAL] & 0xF0) << 32 | (self._frames or 0)
        return data[:FLAC_TOTAL] + total.to_bytes(5) + data[FLAC_TOTAL + 5 :]


def encoder(form: AudioFormat, frames: int | None, bit_rate: int | None = None) -> Encoder:
    """The encoder for a format that `target_format` gave, for audio of so many samples a channel (None: unknown).

    `bit_rate` (bits a second) is for formats that have one.
    Raises AudioError for a container that cannot be made without seeking back.
    """
    if form.container in ("WAV", "RF64"):
        return WavEncoder(form, frames)
    if form.container not in GROWING:
        raise AudioError(f"a stream cannot be {form.container}; it can be {', '.join(GROWING)}.")
    return CompressedEncoder(form, frames, bit_rate)


def pcm_of(form: AudioFormat) -> PcmFormat:
    """PCM of a format's rate, channels and, where a stream of PCM can have it, subtype. Raises AudioError otherwise."""
    if form.subtype not in BY_SUBTYPE:
        raise AudioError(f"a stream cannot hold {form.subtype}; it holds {', '.join(BY_SUBTYPE)}.")
    return PcmFormat(form.sample_rate, form.channels, BY_SUBTYPE[form.subtype])


def encoded(blocks: Iterator[Samples], out: Encoder) -> Iterator[bytes]:
    """The whole file in pieces."""
    for block in blocks:
        yield out.encode(block)
    yield out.finish()
