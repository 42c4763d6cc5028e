"""Samples of telephones: mu-law and A-law, 8 bits each (ITU-T G.711)."""

import functools

import numpy as np
from numpy.typing import NDArray

from gtcrn.types import Samples


def decode(data: bytes, law: str) -> Samples:
    """Bytes of "ulaw" or "alaw" to samples in (-1, 1)."""
    return _values(law)[np.frombuffer(data, np.uint8)]


def encode(samples: Samples, law: str) -> bytes:
    """The nearest codes; what was decoded comes back with its value. Beyond full scale is the outermost code."""
    codes, edges = _steps(law)
    return codes[np.searchsorted(edges, samples)].tobytes()


def to_pcm16(data: bytes, law: str) -> bytes:
    """Codes to PCM16, by a table: a call does that with every message."""
    return _pcm16(law)[np.frombuffer(data, np.uint8)].tobytes()


def from_pcm16(pcm: bytes, law: str) -> bytes:
    """PCM16 to the nearest codes, likewise."""
    codes: bytes = _codes(law)[np.frombuffer(pcm, "<u2")].tobytes()
    return codes


@functools.cache
def _pcm16(law: str) -> NDArray[np.int16]:
    """The sample of each of the 256 codes."""
    return (_values(law) * 32_768).astype("<i2")


@functools.cache
def _codes(law: str) -> NDArray[np.uint8]:
    """The code of each of the 65,536 samples, in the order of their bits."""
    every = np.arange(65_536, dtype="<u2").view("<i2")
    return np.frombuffer(encode((every / 32_768).astype(np.float32), law), np.uint8)


@functools.cache
def _values(law: str) -> Samples:
    """The sample of each of the 256 codes."""
    codes = np.arange(256)
    code = ~codes & 0xFF if law == "ulaw" else codes ^ 0x55
    exponent, mantissa = code >> 4 & 7, code & 15
    if law == "ulaw":
        size, negative = ((mantissa << 3) + 132 << exponent) - 132, code & 0x80 > 0
    else:
        size = np.where(exponent, (mantissa << 4) + 264 << np.maximum(exponent - 1, 0), (mantissa << 4) + 8)
        negative = code & 0x80 == 0
    return (np.where(negative, -size, size) / 32_768).astype(np.float32)


@functools.cache
def _steps(law: str) -> tuple[NDArray[np.uint8], Samples]:
    """Codes in the order of their samples, and the edges between them."""
    values, codes = np.unique(_values(law)[::-1], return_index=True)  # from the end: of two zeros the positive one
    return (255 - codes).astype(np.uint8), (values[1:] + values[:-1]) / np.float32(2)
