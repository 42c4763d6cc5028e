"""Waveform to waveform through the torch network, for training and validation."""

from typing import NamedTuple

import torch
from torch import Tensor

from gtcrn.config import SpectralConfig
from gtcrn.network.model import GTCRN


class Enhanced(NamedTuple):
    spectrum: Tensor  # (B, 2, T, bins)
    audio: Tensor  # (B, N)


def window(config: SpectralConfig, device: torch.device) -> Tensor:
    """Square root of a periodic Hann window: its square adds up to one at half overlap. (n_fft,)"""
    return torch.hann_window(config.n_fft, device=device).sqrt()


def spectrum(audio: Tensor, config: SpectralConfig) -> Tensor:
    """(B, N) -> (B, 2, T, bins), frames centred on multiples of the hop, zeros beyond the ends."""
    taper = window(config, audio.device)
    x = torch.stft(audio, config.n_fft, config.hop, window=taper, pad_mode="constant", return_complex=True)
    return torch.view_as_real(x).permute(0, 3, 2, 1)


def waveform(x: Tensor, config: SpectralConfig, samples: int) -> Tensor:
    """The opposite of `spectrum`: (B, 2, T, bins) -> (B, samples)."""
    bins = torch.complex(x[:, 0], x[:, 1]).transpose(1, 2)
    return torch.istft(bins, config.n_fft, config.hop, window=window(config, x.device), length=samples)


def enhance(model: GTCRN, audio: Tensor) -> Enhanced:
    """Denoise (B, N) from the zero state."""
    config = model.config.spectral
    y, _ = model(spectrum(audio, config).contiguous(), model.initial_state(len(audio)))
    y = y.float()
    return Enhanced(y, waveform(y, config, audio.shape[-1]))
