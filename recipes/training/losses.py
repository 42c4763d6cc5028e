"""What training minimises: a sum of named terms, each with its weight; a term of weight 0 is not computed.

A compressed spectrum is |S|^c with the phase of S. The default weights and c = 0.3 are those of the published recipe
(Rong et al., ICASSP 2024, which states them divided by 100). Targets may be silent (items of noise only): the spectral
and waveform terms then ask for silence; SI-SNR, ESTOI and PESQ, which are undefined there, leave such items out.
"""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gtcrn.config import SpectralConfig
from gtcrn.errors import needs
from gtcrn_recipes.mixing.acoustics import active_rms
from gtcrn_recipes.settings import LossConfig
from gtcrn_recipes.training import intelligibility
from gtcrn_recipes.training.enhance import spectrum

POWER_FLOOR = 1e-12  # below the power of 16-bit rounding in a bin; keeps the gradient of |S|^c finite at 0
SILENCE = 1e-5  # -100 dBFS: a target below has no speech to keep
SPEECH_LEVEL = 0.05  # -26 dBFS, what `equal_levels` brings the active speech of targets to
ACTIVE_SPAN_DB = 40.0
RESOLUTIONS = (256, 1024, 2048)  # FFT lengths beside the network's own
SI_SNR_FLOOR = 1e-10  # relative to the target's power: an empty output costs 0 dB, not infinity
PESQ_LEAK = 1e-3  # of the target added to the output: level alignment must find something


class Loss(nn.Module):
    """The weighted terms of a configuration; their sum is what to minimise."""

    def __init__(self, config: LossConfig, spectral: SpectralConfig | None = None) -> None:
        super().__init__()
        self.config, self.spectral = config, spectral or SpectralConfig()
        self.pesq = _pesq_loss(self.spectral.sample_rate) if config.pesq else None

    def forward(
        self, enhanced_spectrum: Tensor | None, enhanced: Tensor, clean: Tensor, speech: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Term -> its weight times its value, a scalar; terms of weight 0 are absent.

        `enhanced_spectrum` (B, 2, T, F) is what the network returned, None where no term wants it, `enhanced` (B, N)
        its waveform, `clean` (B, N) the target, `speech` (B, N) what levels go by, where that is not the target.
        """
        both = Comparison(self, enhanced_spectrum, enhanced, clean, clean if speech is None else speech)
        return {name: weight * TERMS[name](both) for name, weight in self.config.weights.items() if weight}

    def compare(
        self, enhanced_spectrum: Tensor | None, enhanced: Tensor, clean: Tensor, speech: Tensor | None = None
    ) -> "Compared":
        """The sum of the terms, and the terms."""
        terms = self(enhanced_spectrum, enhanced, clean, speech)
        return Compared(torch.stack(list(terms.values())).sum(), terms)

    def levels(self, speech: Tensor) -> tuple[Tensor, Tensor]:
        """Of items by their speech (B, N): the factor of output and target, and whether there is any."""
        level = active_rms(speech, ACTIVE_SPAN_DB, self.spectral.sample_rate)
        speaks = level > SILENCE
        gain = torch.where(speaks & self.config.equal_levels, SPEECH_LEVEL / level.clamp(min=SILENCE), 1)
        return gain, speaks


class Compared(NamedTuple):
    """What to minimise, and the weighted terms that it is the sum of."""

    total: Tensor
    terms: dict[str, Tensor]


class Compressed(NamedTuple):
    """A spectrum with its magnitudes raised to the exponent."""

    parts: Tensor  # (2, ...), real and imaginary
    magnitude: Tensor  # (...)


def compress(parts: Tensor, exponent: float) -> Compressed:
    """|S|^c with the phase of S, c the exponent, of real and imaginary parts (2, ...); differentiable at 0 too."""
    real, imaginary = parts
    power = real * real + imaginary * imaginary + POWER_FLOOR
    gain = power.pow((exponent - 1) / 2)
    return Compressed(parts * gain, power.sqrt() * gain)


def hann_spectrum(audio: Tensor, n_fft: int, reference: int) -> Tensor:
    """(B, N) -> (2, B, F, T), half overlap; noise is as large as with a Hann window of `reference` samples."""
    window = torch.hann_window(n_fft, device=audio.device) * (reference / n_fft) ** 0.5
    bins = torch.stft(audio, n_fft, n_fft // 2, window=window, pad_mode="constant", return_complex=True)
    return torch.view_as_real(bins).movedim(-1, 0).contiguous()


class Comparison:
    """Output and target of a batch, and what several terms need of them, computed once."""

    def __init__(
        self, loss: Loss, enhanced_spectrum: Tensor | None, enhanced: Tensor, clean: Tensor, speech: Tensor
    ) -> None:
        self.config, self.spectral, self.pesq = loss.config, loss.spectral, loss.pesq
        gain, self.speaks = loss.levels(speech)
        self.gain = gain[:, None]
        self.enhanced, self.clean = self.gain * enhanced, self.gain * clean
        self.enhanced_spectrum = enhanced_spectrum

    def compressed(self, x: Tensor) -> Compressed:
        """Of a spectrum of the network's form, (B, 2, T, F)."""
        return compress(x.movedim(1, 0).contiguous(), self.config.exponent)

    @cached_property
    def network(self) -> Compressed:
        """What the network returned."""
        assert self.enhanced_spectrum is not None
        return self.compressed(self.gain[..., None, None] * self.enhanced_spectrum)

    @cached_property
    def output(self) -> Compressed:
        return self.network if self.config.from_network else self.windowed(self.enhanced, self.spectral.n_fft)

    @cached_property
    def target(self) -> Compressed:
        if self.config.from_network:
            return self.compressed(spectrum(self.clean, self.spectral))
        return self.windowed(self.clean, self.spectral.n_fft)

    def windowed(self, audio: Tensor, n_fft: int) -> Compressed:
        return compress(hann_spectrum(audio, n_fft, self.spectral.n_fft), self.config.exponent)

    def mean_over_speech(self, values: Tensor) -> Tensor:
        """Mean of values (B,) over the items whose target is not silent; 0 when all are."""
        return torch.where(self.speaks, values, 0).sum() / self.speaks.sum().clamp(min=1)


def _distance(a: Compressed, b: Compressed) -> Tensor:
    """Mean squared difference of the real parts plus that of the imaginary parts."""
    return 2 * (a.parts - b.parts).square().mean()


def real_imaginary(both: Comparison) -> Tensor:
    return _distance(both.output, both.target)


def magnitude(both: Comparison) -> Tensor:
    return (both.output.magnitude - both.target.magnitude).square().mean()


def si_snr(both: Comparison) -> Tensor:
    """-SI-SNR / 10 dB, up to `si_snr_limit_db`."""
    return both.mean_over_speech(si_snr_db(both.enhanced, both.clean, both.config.si_snr_limit_db)) / -10


def si_snr_db(enhanced: Tensor, clean: Tensor, limit_db: float) -> Tensor:
    """Scale-invariant signal-to-noise ratio of each row in dB: (B, N), (B, N) -> (B,). The mean is not removed.

    It approaches `limit_db` instead of infinity for a perfect row, and 0 dB for an output that has become silent.
    """
    energy = clean.square().sum(-1).clamp(min=clean.shape[-1] * SILENCE**2)
    projection = ((enhanced * clean).sum(-1) / energy).unsqueeze(-1) * clean
    wanted, rest = projection.square().sum(-1), (enhanced - projection).square().sum(-1)
    floor = SI_SNR_FLOOR * energy
    return 10 * torch.log10((wanted + floor) / (rest + wanted * 10 ** (-limit_db / 10) + floor))


def multi_resolution(both: Comparison) -> Tensor:
    """Compressed magnitudes and complex bins at several FFT lengths (after Schroeter et al., DeepFilterNet 2, 2022)."""
    total = torch.zeros((), device=both.clean.device)
    for n_fft in RESOLUTIONS:
        output, target = (both.windowed(audio, n_fft) for audio in (both.enhanced, both.clean))
        total = total + _distance(output, target) + (output.magnitude - target.magnitude).square().mean()
    return total / len(RESOLUTIONS)


def consistency(both: Comparison) -> Tensor:
    """How far the network's spectrum is from being the spectrum of any waveform (FastEnhancer, 2025, uses it)."""
    return _distance(both.network, both.compressed(spectrum(both.enhanced, both.spectral)))


def over_suppression(both: Comparison) -> Tensor:
    """Only what is missing: max(0, |S|^c - |S^|^c)^2 (Wang et al., VoiceFilter-Lite, 2020; Braun and Tashev, 2020)."""
    return (both.target.magnitude - both.output.magnitude).clamp(min=0).square().mean()


def waveform(both: Comparison) -> Tensor:
    return (both.enhanced - both.clean).abs().mean()


def estoi(both: Comparison) -> Tensor:
    """1 - ESTOI; 0 for an item with less than a segment of speech."""
    values, speaks = intelligibility.estoi(both.enhanced, both.clean, both.spectral.sample_rate)
    return both.mean_over_speech(torch.where(speaks, 1 - values, 0))


def pesq(both: Comparison) -> Tensor:
    """Disturbance of P.862 (0: none), over the items with speech; gradients that it cannot compute count as 0."""
    assert both.pesq is not None
    enhanced, clean = both.enhanced[both.speaks], both.clean[both.speaks]
    if not len(clean):
        return both.enhanced.sum() * 0
    enhanced = enhanced + PESQ_LEAK * clean
    if enhanced.requires_grad:
        enhanced.register_hook(lambda gradient: torch.nan_to_num(gradient, 0.0, 0.0, 0.0))
    disturbance: Tensor = both.pesq(clean, enhanced)
    return disturbance.mean()


def _pesq_loss(sample_rate: int) -> nn.Module:
    with needs("train"):
        from torch_pesq import PesqLoss
    module: nn.Module = PesqLoss(1.0, sample_rate)
    return module


_ALL = (real_imaginary, magnitude, si_snr, multi_resolution, consistency, over_suppression, waveform, estoi, pesq)
TERMS: dict[str, Callable[[Comparison], Tensor]] = {term.__name__: term for term in _ALL}
