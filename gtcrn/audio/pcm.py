"""WAV headers and PCM bytes without seeking: what a pipe needs, and the check that a file is as long as it says."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gtcrn.audio import laws
from gtcrn.audio.limits import judge
from gtcrn.errors import AudioError
from gtcrn.types import Samples

Read = Callable[[int], bytes]  # up to so many bytes, fewer only at the end

UNKNOWN_LENGTH = 0xFFFFFFFF  # bytes; what streaming tools write for want of the real number
ENDLESS = 0x7FFF0000  # bytes; from here on (arecord, sox) and for 0 (ffmpeg's early form) the length counts as unknown
PCM, FLOAT, ALAW, ULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
NEEDED = {b"fmt ": 40, b"ds64": 16}  # bytes of a chunk that mean something; ds64 tells the lengths of an RF64
LARGEST = 1 << 48  # bytes; from here on the length of an RF64 counts as unknown
PIECE = 1 << 16  # bytes of a chunk that nobody needs are read at a time, at most


class Encoding(NamedTuple):
    """How one sample is kept: WAV's format tag, bits, and libsndfile's name of it."""

    tag: int
    bits: int
    subtype: str


ENCODINGS = {
    "u8": Encoding(PCM, 8, "PCM_U8"),
    "s16le": Encoding(PCM, 16, "PCM_16"),
    "s24le": Encoding(PCM, 24, "PCM_24"),
    "s32le": Encoding(PCM, 32, "PCM_32"),
    "f32le": Encoding(FLOAT, 32, "FLOAT"),
    "f64le": Encoding(FLOAT, 64, "DOUBLE"),
    "ulaw": Encoding(ULAW, 8, "ULAW"),
    "alaw": Encoding(ALAW, 8, "ALAW"),
}
BY_SUBTYPE = {form.subtype: name for name, form in ENCODINGS.items()}


@dataclass(frozen=True)
class PcmFormat:
    """Interleaved samples: rate in Hz, channels, and one of ENCODINGS."""

    sample_rate: int
    channels: int
    encoding: str

    @property
    def bits(self) -> int:
        return ENCODINGS[self.encoding].bits

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * self.bits // 8

    def decode(self, data: bytes) -> Samples:
        """Whole frames of bytes to (channels, n) in [-1, 1)."""
        if self.encoding.endswith("law"):
            values = laws.decode(data, self.encoding)
        elif self.encoding.startswith("f"):
            with np.errstate(over="ignore"):
                values = np.frombuffer(data, f"<f{self.bits // 8}").astype(np.float32)
        else:
            values = self._integers(data).astype(np.float32) / np.float32(2 ** (self.bits - 1))
        return np.ascontiguousarray(values.reshape(-1, self.channels).T)

    def encode(self, samples: Samples) -> tuple[bytes, int]:
        """Samples (channels, n) to bytes, and how many were beyond full scale and are clipped (integers only)."""
        flat = samples.T.reshape(-1)
        if self.encoding.endswith("law"):
            return laws.encode(flat, self.encoding), int(np.count_nonzero(np.abs(flat) > 1))
        if self.encoding.startswith("f"):
            return flat.astype(f"<f{self.bits // 8}").tobytes(), 0
        values, clipped = quantise(flat, self.bits)
        if self.bits == 8:
            return (values + 128).astype(np.uint8).tobytes(), clipped
        if self.bits == 24:
            return values.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes(), clipped
        return values.astype(f"<i{self.bits // 8}").tobytes(), clipped

    def _integers(self, data: bytes) -> NDArray[np.int32]:
        if self.bits == 8:
            return np.frombuffer(data, np.uint8).astype(np.int32) - 128
        if self.bits == 24:
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            return wide.view("<i4")[:, 0].astype(np.int32) >> 8
        return np.frombuffer(data, f"<i{self.bits // 8}").astype(np.int32)


def quantise(samples: Samples, bits: int) -> tuple[NDArray[np.int32], int]:
    """Round [-1, 1) to signed integers of so many bits (what was read from them comes back bit for bit).

    Returns them and how many samples lay beyond full scale and were clipped.
    """
    exact = np.float32 if bits <= 24 else np.float64  # holds every such integer
    scaled = np.rint(samples * exact(2 ** (bits - 1)))
    lowest, highest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if not scaled.size or (scaled.min() >= lowest and scaled.max() <= highest):
        return scaled.astype(np.int32), 0
    clipped = np.count_nonzero((scaled < lowest) | (scaled > highest + 1))  # exactly 1.0 rounds down unreported
    return np.clip(scaled, lowest, highest).astype(np.int32), int(clipped)


def read_header(read: Read, name: str) -> tuple[PcmFormat, int | None]:
    """The format of a WAV stream and the bytes of its data (None: unknown), having read up to the first sample.

    Raises AudioError when it is empty, no WAV, of an encoding that PcmFormat lacks, or of a rate or channels that the
    denoiser does not take.
    """
    start = read(12)
    if not start:
        raise AudioError(f"{name} is empty.")
    if not is_wav(start):
        raise AudioError(f"{name} is not WAV audio.")
    form: PcmFormat | None = None
    large = 0
    while True:
        chunk = read(8)
        if len(chunk) < 8:
            raise AudioError(f"{name} ends within its header.")
        kind, size = struct.unpack("<4sI", chunk)
        if kind == b"data":
            break
        body = read(min(size, NEEDED.get(kind, 0)))
        if kind == b"fmt ":
            form = _parse_format(body, name)
        if kind == b"ds64":
            large = int.from_bytes(body[8:], "little")
        _skip(read, size + size % 2 - len(body))
    if form is None:
        raise AudioError(f"{name} has no fmt chunk before its data.")
    if size == UNKNOWN_LENGTH and 0 < large < LARGEST:
        return form, large
    return form, size if 0 < size < ENDLESS else None


def is_wav(start: bytes) -> bool:
    """Whether the first 12 bytes are those of a WAV stream."""
    return start[:4] in (b"RIFF", b"RF64") and start[8:12] == b"WAVE"


def _skip(read: Read, size: int) -> None:
    """Past so many bytes, or to the end, without keeping them."""
    while size > 0 and (piece := read(min(size, PIECE))):
        size -= len(piece)


def _parse_format(body: bytes, name: str) -> PcmFormat:
    if len(body) < 16:
        raise AudioError(f"{name} ends within its header.")
    tag, channels, sample_rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == EXTENSIBLE and len(body) >= 26:
        tag = struct.unpack("<H", body[24:26])[0]
    encoding = next((e for e, form in ENCODINGS.items() if form[:2] == (tag, bits)), None)
    if encoding is None:
        raise AudioError(f"{name} holds WAV encoding {tag} with {bits} bits; a pipe takes {', '.join(ENCODINGS)}.")
    try:
        judge(sample_rate, channels)
    except AudioError as error:
        raise AudioError(f"{name}: {error}") from error
    return PcmFormat(sample_rate, channels, encoding)


def header(form: PcmFormat, data_bytes: int | None) -> bytes:
    """A WAV header of 44 bytes for data of so many bytes; None: unknown, as for a live stream."""
    size = UNKNOWN_LENGTH if data_bytes is None else data_bytes
    riff = UNKNOWN_LENGTH if data_bytes is None else data_bytes + 36 + data_bytes % 2
    tag, bits, _ = ENCODINGS[form.encoding]
    rate = form.sample_rate
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", riff, b"WAVE", b"fmt ", 16, tag, form.channels, rate),
        *(rate * form.frame_bytes, form.frame_bytes, bits, b"data", size),
    )
