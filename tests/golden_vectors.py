"""What github.com/Xiaobin-Rong/gtcrn (commit 3862c44, gtcrn.py) computes with random weights, for machines without it.

golden/published.safetensors: a generator seeded with 0 drew the parameters, the normalisation's statistics and a
spectrum; `model.*` are the weights under the published names, `input` and `output` are (1, 2, frames, bins).
"""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from gtcrn.checkpoint import Checkpoint
from gtcrn.config import GTCRNConfig
from gtcrn.network.published import convert


@cache
def vectors() -> dict[str, NDArray[np.float32]]:
    """All of the file."""
    return load_file(Path(__file__).parent / "golden" / "published.safetensors")


def imported() -> Checkpoint:
    """The published weights as our importer reads them."""
    published = {name.removeprefix("model."): value for name, value in vectors().items() if name.startswith("model.")}
    return Checkpoint(GTCRNConfig(), convert(published))


def spectrum() -> NDArray[np.complex64]:
    """The input, (frames, bins)."""
    real, imag = vectors()["input"][0]
    return np.asarray(real + 1j * imag, np.complex64)


def assert_equals_output(found: NDArray[np.complex64]) -> None:
    """Hold a spectrum (frames, bins) to what the published code made of the input."""
    real, imag = wanted = vectors()["output"][0]
    assert np.abs(wanted).max() > 1
    np.testing.assert_allclose(found, real + 1j * imag, rtol=0, atol=1e-5 * np.abs(wanted).max())
