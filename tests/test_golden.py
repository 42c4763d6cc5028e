"""The network and the kernel against vectors that the published code made, for machines without its checkpoints.

golden/published.safetensors holds what github.com/Xiaobin-Rong/gtcrn (commit 3862c44, gtcrn.py) computes with random
weights: a generator seeded with 0 drew its parameters, its normalisation's statistics and a spectrum; `model.*` are
the weights under the published names, `input` and `output` are (1, 2, frames, bins).
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from gtcrn import checkpoint, kernel
from gtcrn.checkpoint import Checkpoint
from gtcrn.config import GTCRNConfig
from gtcrn.kernel.fold import fold
from gtcrn.network.published import convert

Vectors = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return load_file(Path(__file__).parent / "golden" / "published.safetensors")


@pytest.fixture(scope="module")
def imported(vectors: Vectors) -> Checkpoint:
    """The published weights as our importer reads them."""
    published = {name.removeprefix("model."): value for name, value in vectors.items() if name.startswith("model.")}
    return Checkpoint(GTCRNConfig(), convert(published))


def assert_equal(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> None:
    assert np.abs(wanted).max() > 1
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_the_network_equals_the_published_code(vectors: Vectors, imported: Checkpoint) -> None:
    network = checkpoint.to_model(imported)
    with torch.no_grad():
        output, _ = network(torch.from_numpy(vectors["input"]), network.initial_state())
    assert_equal(output.numpy(), vectors["output"])


def test_the_kernel_equals_the_published_code(vectors: Vectors, imported: Checkpoint) -> None:
    real, imag = vectors["input"][0]
    spectrum = np.asarray(real + 1j * imag, np.complex64)
    output = np.empty_like(spectrum)
    kernel.process(fold(imported), np.zeros(kernel.STATE_SIZE, np.float32), spectrum, output)
    assert_equal(np.stack([output.real, output.imag]), vectors["output"][0])
