"""The compiled loss against that of torch in double precision: terms and gradients, silence and quiet speech too."""

import pytest
import torch
from torch import Tensor

from gtcrn.config import SpectralConfig
from gtcrn_recipes.native.loss import NAMES, PESQ_SAMPLES, NativeLoss, supports
from gtcrn_recipes.settings import LossConfig, build
from gtcrn_recipes.training.losses import Compared, Loss

NONE = dict.fromkeys(LossConfig().weights, 0.0)
EVERYTHING = {
    "real_imaginary": 30.0,
    "magnitude": 70.0,
    "si_snr": 1.0,
    "over_suppression": 30.0,
    "estoi": 10.0,
    "pesq": 1.0,
}


def weighted(weights: dict[str, float], **settings: object) -> LossConfig:
    """These terms and no other."""
    return build(LossConfig, {**NONE, **weights, **settings}, "loss")


def signals(samples: int) -> tuple[Tensor, Tensor]:
    """Output and target of five items: plain, quiet, silent, growing, and with an output that is all but silent."""
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 5, samples, generator=generator)
    time = torch.arange(samples) / 16_000
    clean = 0.05 * clean * torch.sin(2 * torch.pi * 3 * time).clamp(min=0)
    clean[1], clean[2], clean[3] = 0.1 * clean[1], 0, clean[3] * torch.linspace(0, 3, samples)
    enhanced = 0.8 * clean + 0.003 * noise
    enhanced[4] *= 1e-4
    return enhanced, clean


def both(config: LossConfig, samples: int) -> tuple[tuple[Compared, Tensor], tuple[Compared, Tensor]]:
    """The compiled loss and the reference, each with its gradient of the output."""
    enhanced, clean = signals(samples)

    def with_gradient(loss: Loss | NativeLoss, precision: torch.dtype) -> tuple[Compared, Tensor]:
        x = enhanced.to(precision).requires_grad_()
        found = loss.compare(x, x, clean.to(precision))
        (gradient,) = torch.autograd.grad(3 * found.total, x)
        return found, gradient

    return with_gradient(NativeLoss(Loss(config)), torch.float32), with_gradient(Loss(config).double(), torch.float64)


def check(config: LossConfig, samples: int = 8000) -> None:
    (ours, gradient), (theirs, expected) = both(config, samples)
    assert list(ours.terms) == list(theirs.terms)
    for name, term in theirs.terms.items():
        torch.testing.assert_close(ours.terms[name], term.float(), atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(ours.total, theirs.total.float(), atol=1e-6, rtol=1e-4)
    for row, wanted in zip(gradient.double(), expected, strict=True):
        assert (row - wanted).norm() <= 1e-4 * wanted.norm() + 1e-9


@pytest.mark.parametrize("equal_levels", [False, True])
@pytest.mark.parametrize("term", NAMES)
def test_each_term_and_its_gradient_are_torchs(term: str, equal_levels: bool) -> None:
    check(weighted({term: 1.0}, exponent=0.5, equal_levels=equal_levels))


@pytest.mark.parametrize("samples", [PESQ_SAMPLES, 16_000, 16_001, 16_127])
def test_their_sum_is_torchs_at_any_length(samples: int) -> None:
    check(weighted(EVERYTHING, exponent=0.3, equal_levels=True), samples)


def test_terms_that_are_not_compiled_come_from_torch_beside_them() -> None:
    check(weighted({**EVERYTHING, "multi_resolution": 2.0, "waveform": 1.0}, exponent=0.5, equal_levels=True), 16_000)


def test_nothing_but_silence_has_no_speech_terms_and_a_finite_gradient() -> None:
    loss = NativeLoss(Loss(weighted(EVERYTHING)))
    silence = torch.zeros(2, 8000)
    enhanced = (1e-3 * torch.randn(2, 8000, generator=torch.Generator().manual_seed(1))).requires_grad_()
    found = loss.compare(enhanced, enhanced, silence)
    assert found.terms["si_snr"] == found.terms["estoi"] == found.terms["pesq"] == 0
    (gradient,) = torch.autograd.grad(found.total, enhanced)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0


def test_an_output_of_nothing_has_a_finite_gradient() -> None:
    _, clean = signals(8000)
    enhanced = torch.zeros_like(clean).requires_grad_()
    found = NativeLoss(Loss(weighted(EVERYTHING, equal_levels=True))).compare(enhanced, enhanced, clean)
    (gradient,) = torch.autograd.grad(found.total, enhanced)
    assert torch.isfinite(gradient).all()


def test_other_losses_are_left_to_torch() -> None:
    spectral = SpectralConfig()
    assert supports(weighted(EVERYTHING), spectral, 32_000)
    assert not supports(LossConfig(from_network=True), spectral, 32_000)
    assert not supports(LossConfig(pesq=1.0), spectral, PESQ_SAMPLES - 1)
    assert not supports(LossConfig(), SpectralConfig(n_fft=256, hop=128), 32_000)
