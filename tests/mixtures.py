"""Mixtures for tests, of sounds whose levels and spectra are known, and what is measured of them."""

import math

import numpy as np
import torch
from torch import Tensor

from gtcrn_recipes.mixing.acoustics import rms
from gtcrn_recipes.mixing.mixture import Mixture, mix
from gtcrn_recipes.settings import MixingConfig, build

RATE = 16_000
PROBABILITIES = [name for name in MixingConfig.model_fields if name.endswith("_probability")]
NOTHING = build(MixingConfig, dict.fromkeys(PROBABILITIES, 0.0), "mixing")


def only(**changes: object) -> MixingConfig:
    """No effect but the ones named."""
    return NOTHING.model_copy(update=changes)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def talk(rows: int = 8, samples: int = RATE, seed: int = 0) -> Tensor:
    """Noise that comes in syllables, with a pause of a third of the time: (rows, samples)."""
    time = torch.arange(samples) / RATE
    syllables = torch.sin(2 * torch.pi * 4 * time).clamp(min=0) * (time % 1 < 0.67)
    return 0.1 * torch.randn(rows, samples, generator=seeded(seed)) * syllables


def hiss(rows: int = 8, samples: int = RATE, seed: int = 1) -> Tensor:
    return 0.05 * torch.randn(rows, 2, samples, generator=seeded(seed))


def rooms(rows: int = 8, samples: int = 4000, seed: int = 2) -> Tensor:
    """Decaying noise after a direct sound at another place in each row."""
    decay = torch.exp(-torch.arange(samples) / 800)
    tail = 0.05 * torch.randn(rows, samples, generator=seeded(seed)) * decay
    return tail.scatter(1, 16 * torch.arange(rows)[:, None], 0.9)


def mixed(config: MixingConfig, seed: int = 0, **audio: Tensor) -> Mixture:
    inputs = {"speech": talk(), "noise": hiss(), "rir": rooms()} | audio
    return mix(**inputs, generator=seeded(seed), config=config)


def sine(hz: float, samples: int = RATE) -> Tensor:
    return torch.sin(2 * torch.pi * hz * torch.arange(samples) / RATE)


def level_db(x: Tensor) -> Tensor:
    return 20 * torch.log10(rms(x))


def active_db(row: np.ndarray, span_db: float = 40.0) -> float:
    """Active level by the definition, frame by frame: the reference for the batched one."""
    frames = [row[i : i + 512].astype(np.float64) for i in range(0, len(row) - 511, 512)]
    powers = [float(np.mean(frame**2)) for frame in frames]
    return 10 * math.log10(np.mean([p for p in powers if p >= max(powers) * 10 ** (-span_db / 10)]))


def density_db(x: Tensor, low: float, high: float) -> float:
    """Mean power density of a signal between two frequencies, in dB."""
    spectrum = np.abs(np.fft.rfft(x.numpy() * np.hanning(x.shape[-1]))) ** 2
    hz = np.fft.rfftfreq(x.shape[-1], 1 / RATE)
    return float(10 * np.log10(spectrum[..., (hz >= low) & (hz < high)].mean()))
