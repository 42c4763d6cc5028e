"""The network and the kernel against vectors that the published code made."""

import numpy as np
import torch
from golden_vectors import assert_equals_output, imported, spectrum, vectors

from gtcrn import checkpoint, kernel
from gtcrn.kernel.fold import fold


def test_the_network_equals_the_published_code() -> None:
    network = checkpoint.to_model(imported())
    with torch.no_grad():
        output, _ = network(torch.from_numpy(vectors()["input"]), network.initial_state())
    real, imag = output[0].numpy()
    assert_equals_output(real + 1j * imag)


def test_the_kernel_equals_the_published_code() -> None:
    params, output = fold(imported()), np.empty_like(spectrum())
    kernel.process(params, kernel.new_state(params), spectrum(), output)
    assert_equals_output(output)
