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
