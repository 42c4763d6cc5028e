"""The kernel between its own Fourier transforms against numpy's: samples in, samples out, any chunking."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from contract import verify_contract
from networks import random_network
from spectral import ShortTimeTransform
from streams import noise
from torch import Tensor

from gtcrn import checkpoint, kernel
from gtcrn.config import GTCRNConfig, SpectralConfig
from gtcrn.kernel.fold import fold
from gtcrn.types import Samples

HOP = SpectralConfig().hop


def one_factor() -> Samples:
    """A network that is linear: its mask is one complex number, whatever it hears."""
    weights = checkpoint.from_model(random_network())
    weights.weights["decoder.first.conv.weight"][:] = 0
    weights.weights["decoder.first.conv.bias"][:] = (1.2, -0.7)
    return fold(weights)


def random_params(seed: int = 0, channels: int = 16) -> Samples:
    return fold(checkpoint.from_model(random_network(seed, GTCRNConfig(channels=channels))))


def new_stream(channels: int = 16) -> tuple[Samples, Samples]:
    return np.zeros(kernel.SIZES[channels][0], np.float32), np.zeros(HOP, np.float32)


def by_numpy(params: Samples, samples: Samples) -> Samples:
    transform = ShortTimeTransform(SpectralConfig())
    spectrum, _ = transform.analyse(samples[None], np.zeros((1, 0), np.float32))
    kernel.process(params, kernel.new_state(params), spectrum, spectrum)
    samples, _ = transform.synthesise(spectrum, transform.initial_state(1))
    return np.asarray(samples[0])


def by_kernel(params: Samples, samples: Samples, stream: tuple[Samples, Samples] | None = None) -> Samples:
    out = np.empty_like(samples[HOP:])
    kernel.enhance(params, *(stream or new_stream(int(params[1]))), samples, out)
    return out


def sine(hertz: float) -> Samples:
    return np.asarray(np.sin(np.arange(40 * HOP) * (2 * np.pi * hertz / 16_000)), np.float32)


@pytest.mark.parametrize("hertz", [0.1, 440, 7_999, None])
def test_transforms_equal_numpy(hertz: float | None) -> None:
    params, samples = one_factor(), noise(40 * HOP) if hertz is None else sine(hertz)
    wanted = by_numpy(params, samples)
    assert np.abs(wanted).max() > 0.01
    np.testing.assert_allclose(by_kernel(params, samples), wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("channels", sorted(kernel.SIZES))
@pytest.mark.parametrize("seed", range(3))
def test_the_network_is_the_same_between_either(seed: int, channels: int) -> None:
    params, samples = random_params(seed, channels), noise(60 * HOP, seed=seed)
    wanted = by_numpy(params, samples)
    np.testing.assert_allclose(by_kernel(params, samples), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_network_and_transforms_keep_the_contract() -> None:
    """Hop by hop: (B, 1, T, hop) samples in and out; the state: memory, overlap, and the last hop that came."""
    params = random_params()

    def layer(x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        memory, overlap, last = (part.clone() for part in state)
        hops = torch.cat((last[:, None], x[:, 0]), dim=1)
        rows = zip(hops.flatten(1).numpy(), memory.numpy(), overlap.numpy(), strict=True)
        out = np.stack([by_kernel(params, samples, (*parts,)) for samples, *parts in rows])
        return torch.from_numpy(out).view_as(x), (memory, overlap, hops[:, -1])

    def silence(batch: int) -> tuple[Tensor, ...]:
        return tuple(torch.zeros(batch, size) for size in (kernel.SIZES[16][0], HOP, HOP))

    x = torch.from_numpy(noise(14 * HOP, channels=2)).view(2, 1, 14, HOP)
    verify_contract(layer, silence, x, differentiable=False)


def test_any_number_of_hops_per_call() -> None:
    params, samples, rng = random_params(), noise(50 * HOP), np.random.default_rng(1)
    whole = by_kernel(params, samples)
    for most in (1, 3, 20):
        stream, at, parts = new_stream(), 0, []
        while at < 49:
            hops = min(int(rng.integers(0, most + 1)), 49 - at)
            parts.append(by_kernel(params, samples[at * HOP : (at + hops + 1) * HOP], stream))
            at += hops
        np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("which", range(5))
def test_wrong_sizes_are_refused(which: int) -> None:
    buffers = [random_params(), *new_stream(), np.zeros(4 * HOP, np.float32), np.zeros(3 * HOP, np.float32)]
    buffers[which] = buffers[which][:-1]
    with pytest.raises(ValueError, match=r"must be .* bytes"):
        kernel.enhance(*buffers)


def test_no_samples_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="one hop"):
        kernel.enhance(random_params(), *new_stream(), np.zeros(0, np.float32), np.zeros(0, np.float32))


@pytest.mark.parametrize("which", [1, 2, 4])
def test_read_only_results_are_refused(which: int) -> None:
    buffers = [random_params(), *new_stream(), np.zeros(2 * HOP, np.float32), np.zeros(HOP, np.float32)]
    buffers[which].flags.writeable = False
    with pytest.raises((TypeError, BufferError, ValueError)):
        kernel.enhance(*buffers)
