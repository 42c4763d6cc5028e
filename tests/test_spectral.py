"""Analysis is torch.stft, synthesis its inverse, in blocks of any length."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from contract import as_parts, as_spectrum, verify_contract
from spectral import ShortTimeTransform, Spectrum
from streams import noise, pieces
from torch import Tensor

from gtcrn.config import SpectralConfig
from gtcrn.types import Samples

CONFIGS = [SpectralConfig(), SpectralConfig(n_fft=320, hop=160)]


def analyse(transform: ShortTimeTransform, samples: Samples, lengths: list[int]) -> Spectrum:
    state, spectra = transform.initial_state(len(samples)), []
    for piece in pieces(samples, lengths):
        spectrum, state = transform.analyse(piece, state)
        spectra.append(spectrum)
    return np.concatenate(spectra, axis=1)


def synthesise(transform: ShortTimeTransform, spectrum: Spectrum, frames: int) -> Samples:
    state, outputs = transform.initial_state(len(spectrum)), []
    for start in range(0, spectrum.shape[1], frames):
        samples, state = transform.synthesise(spectrum[:, start : start + frames], state)
        outputs.append(samples)
    return np.concatenate(outputs, axis=1)


@pytest.mark.parametrize("config", CONFIGS)
def test_inner_frames_equal_torch_stft(config: SpectralConfig) -> None:
    samples = noise(16_000, channels=2)
    window = torch.hann_window(config.n_fft).sqrt()
    wanted = torch.stft(torch.from_numpy(samples), config.n_fft, config.hop, window=window, return_complex=True)
    found = analyse(ShortTimeTransform(config), samples, [16_000])
    assert found.dtype == np.complex64
    inner = slice(1, found.shape[1] - 1)
    np.testing.assert_allclose(found[:, inner], wanted.numpy().swapaxes(1, 2)[:, inner], rtol=0, atol=1e-5)


@pytest.mark.parametrize("lengths", [[1], [255, 256, 257], [0, 3, 1000], [511, 1]])
def test_any_chunks_give_the_same_frames(lengths: list[int]) -> None:
    transform, samples = ShortTimeTransform(SpectralConfig()), noise(5_000, channels=3)
    np.testing.assert_array_equal(analyse(transform, samples, lengths), analyse(transform, samples, [5_000]))


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("frames", [1, 7, 1000])
def test_synthesis_reconstructs_exactly_one_hop_late(config: SpectralConfig, frames: int) -> None:
    samples = noise(40 * config.hop, channels=2)
    transform = ShortTimeTransform(config)
    output = synthesise(transform, analyse(transform, samples, [1000]), frames)
    np.testing.assert_allclose(output[:, config.hop :], samples[:, : -config.hop], rtol=0, atol=1e-6)
    np.testing.assert_allclose(output[:, : config.hop], 0, atol=1e-7)


def test_analysis_keeps_the_contract() -> None:
    """Hop by hop: (B, 1, T, hop) samples to (B, 2, T, bins), a window of two hops."""
    transform = ShortTimeTransform(SpectralConfig(n_fft=32, hop=16))

    def layer(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        spectrum, pending = transform.analyse(x[:, 0].flatten(1).numpy(), state.numpy())
        return as_parts(spectrum), torch.from_numpy(pending)

    x = torch.from_numpy(noise(14 * 16, channels=2)).view(2, 1, 14, 16)
    verify_contract(layer, zeros(transform), x, receptive_field=2, differentiable=False)


def test_synthesis_keeps_the_contract() -> None:
    """Frame by frame: (B, 2, T, bins) to (B, 1, T, hop) samples, each of two frames."""
    transform = ShortTimeTransform(SpectralConfig(n_fft=32, hop=16))

    def layer(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        samples, overlap = transform.synthesise(as_spectrum(x), state.numpy())
        return torch.from_numpy(samples).view(len(x), 1, -1, 16), torch.from_numpy(overlap)

    x = torch.from_numpy(noise(2 * 14 * 17, channels=2)).view(2, 2, 14, 17)
    verify_contract(layer, zeros(transform), x, receptive_field=2, differentiable=False)


def zeros(transform: ShortTimeTransform) -> Callable[[int], Tensor]:
    return lambda rows: torch.from_numpy(transform.initial_state(rows))
