"""Analysis is torch.stft, synthesis its inverse, in blocks of any length."""

import numpy as np
import pytest
import torch
from spectral import ShortTimeTransform
from streams import noise, pieces

from gtcrn.config import SpectralConfig

CONFIGS = [SpectralConfig(), SpectralConfig(n_fft=320, hop=160)]


def analyse(transform, samples, lengths):
    state, spectra = transform.initial_state(len(samples)), []
    for piece in pieces(samples, lengths):
        spectrum, state = transform.analyse(piece, state)
        spectra.append(spectrum)
    return np.concatenate(spectra, axis=1)


def synthesise(transform, spectrum, frames):
    state, outputs = transform.initial_state(len(spectrum)), []
    for start in range(0, spectrum.shape[1], frames):
        samples, state = transform.synthesise(spectrum[:, start : start + frames], state)
        outputs.append(samples)
    return np.concatenate(outputs, axis=1)


@pytest.mark.parametrize("config", CONFIGS)
def test_inner_frames_equal_torch_stft(config):
    samples = noise(16_000, channels=2)
    window = torch.hann_window(config.n_fft).sqrt()
    wanted = torch.stft(torch.from_numpy(samples), config.n_fft, config.hop, window=window, return_complex=True)
    found = analyse(ShortTimeTransform(config), samples, [16_000])
    assert found.dtype == np.complex64
    inner = slice(1, found.shape[1] - 1)
    np.testing.assert_allclose(found[:, inner], wanted.numpy().swapaxes(1, 2)[:, inner], rtol=0, atol=1e-5)


@pytest.mark.parametrize("lengths", [[1], [255, 256, 257], [0, 3, 1000], [511, 1]])
def test_any_chunks_give_the_same_frames(lengths):
    transform, samples = ShortTimeTransform(SpectralConfig()), noise(5_000, channels=3)
    np.testing.assert_array_equal(analyse(transform, samples, lengths), analyse(transform, samples, [5_000]))


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("frames", [1, 7, 1000])
def test_synthesis_reconstructs_exactly_one_hop_late(config, frames):
    samples = noise(40 * config.hop, channels=2)
    transform = ShortTimeTransform(config)
    output = synthesise(transform, analyse(transform, samples, [1000]), frames)
    np.testing.assert_allclose(output[:, config.hop :], samples[:, : -config.hop], rtol=0, atol=1e-6)
    np.testing.assert_allclose(output[:, : config.hop], 0, atol=1e-7)


def test_a_state_is_a_value():
    transform = ShortTimeTransform(SpectralConfig())
    spectrum, pending = transform.analyse(noise(900, channels=1), transform.initial_state(1))
    before = pending.copy()
    transform.analyse(noise(900, channels=1), pending)
    np.testing.assert_array_equal(pending, before)
    _, overlap = transform.synthesise(spectrum, transform.initial_state(1))
    before = overlap.copy()
    transform.synthesise(spectrum, overlap)
    np.testing.assert_array_equal(overlap, before)
