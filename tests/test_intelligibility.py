"""The ESTOI term against the package that scores with it, over speech and silence; its gradient improves the score."""

import numpy as np
import pytest
import torch
from pystoi import stoi
from torch import Tensor

from gtcrn_recipes.training.intelligibility import SEGMENT, estoi

RATE = 16_000


def speech(seconds: float = 4.0, seed: int = 0) -> Tensor:
    """Voiced syllables of moving formants with pauses, (1, N)."""
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    generator = torch.Generator().manual_seed(seed)
    carrier = torch.randn(len(time), generator=generator, dtype=torch.float64) * 0.1
    for harmonic in range(1, 30):
        gain = torch.exp(-(((harmonic * 130 - 900 - 600 * torch.sin(2 * torch.pi * 1.3 * time)) / 500) ** 2))
        carrier = carrier + gain * torch.sin(2 * torch.pi * harmonic * 130 * time)
    return 0.03 * (carrier * torch.sin(2 * torch.pi * 2.1 * time).clamp(min=0))[None]


def noise(like: Tensor, seed: int = 1) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed), dtype=like.dtype)


@pytest.mark.parametrize("gain", [1.0, 0.01], ids=["as recorded", "40 dB lower"])
@pytest.mark.parametrize("level", [0.003, 0.01, 0.03, 0.1])
def test_it_is_the_score_of_pystoi(level: float, gain: float) -> None:
    clean = gain * speech()
    enhanced = clean + gain * level * noise(clean)
    np.random.seed(0)  # pystoi draws from it
    expected = stoi(clean[0].numpy(), enhanced[0].numpy(), RATE, extended=True)
    value, speaks = estoi(enhanced, clean, RATE)
    assert speaks.all()
    assert float(value) == pytest.approx(expected, abs=0.03)


def test_a_perfect_output_scores_one_and_rows_do_not_mix() -> None:
    clean = torch.cat([speech(seed=0), speech(seed=3), speech(seed=0)])
    enhanced = clean + torch.tensor([0.0, 0.02, 0.02])[:, None] * noise(clean)
    together = estoi(enhanced, clean, RATE)[0]
    assert float(together[0]) == pytest.approx(1.0, abs=1e-6)
    alone = torch.cat([estoi(enhanced[i : i + 1], clean[i : i + 1], RATE)[0] for i in range(3)])
    torch.testing.assert_close(together, alone)


def test_pauses_and_scale_do_not_count() -> None:
    clean = speech()
    enhanced = clean + 0.02 * noise(clean)
    value = float(estoi(enhanced, clean, RATE)[0])
    pause = torch.zeros(1, 2 * RATE, dtype=clean.dtype)
    longer, target = (torch.cat([x, pause], 1) for x in (enhanced, clean))
    assert float(estoi(longer, target, RATE)[0]) == pytest.approx(value, abs=0.02)
    assert float(estoi(0.1 * enhanced, clean, RATE)[0]) == pytest.approx(value, abs=0.02)


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.3])
def test_rows_without_a_segment_of_speech_have_no_score(seconds: float) -> None:
    clean = torch.cat([speech(), torch.zeros(1, 4 * RATE, dtype=torch.float64), speech()])
    clean[2, round(seconds * RATE) :] = 0.0
    enhanced = (clean + 0.01 * noise(clean)).requires_grad_()
    values, speaks = estoi(enhanced, clean, RATE)
    assert speaks.tolist() == [True, False, False]
    assert values[1:].tolist() == [0, 0]
    (gradient,) = torch.autograd.grad(values.sum(), enhanced)
    assert torch.isfinite(gradient).all()
    assert gradient[0].any()
    assert not gradient[1:].any()
    assert not estoi(enhanced[:, : SEGMENT * 100], clean[:, : SEGMENT * 100], RATE)[1].any()


@pytest.mark.parametrize("output", ["empty", "one band", "the target"])
def test_its_gradient_is_finite_whatever_the_output(output: str) -> None:
    clean = speech().float()
    time = torch.arange(clean.shape[1]) / RATE
    tone = 0.1 * torch.sin(2 * torch.pi * 440 * time)[None]
    enhanced = {"empty": 0 * clean, "one band": tone, "the target": clean.clone()}[output].requires_grad_()
    (gradient,) = torch.autograd.grad(estoi(enhanced, clean, RATE)[0].sum(), enhanced)
    assert torch.isfinite(gradient).all()


def test_climbing_it_raises_the_score_of_pystoi() -> None:
    clean = speech()
    start = clean + 0.05 * noise(clean)
    enhanced = start.clone().requires_grad_()
    climb = torch.optim.Adam([enhanced], lr=1e-3)
    for _ in range(20):
        climb.zero_grad()
        (-estoi(enhanced, clean, RATE)[0].sum()).backward()
        climb.step()
    before, after = (stoi(clean[0].numpy(), x.detach()[0].numpy(), RATE, extended=True) for x in (start, enhanced))
    assert after > before + 0.05
