"""Losses: closed forms, the published formula, and finite gradients whatever comes in."""

import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from gtcrn.config import SpectralConfig
from gtcrn.errors import ConfigError, GtcrnError
from gtcrn_recipes.settings import LossConfig, build
from gtcrn_recipes.training.enhance import spectrum
from gtcrn_recipes.training.enhance import waveform as audio_of
from gtcrn_recipes.training.losses import TERMS, Loss, compress, si_snr_db

SPECTRAL = SpectralConfig()
SAMPLES = 16_000
NONE = dict.fromkeys(TERMS, 0.0)
ALL = build(LossConfig, dict.fromkeys(TERMS, 1.0), "loss")


def only(term: str, **settings: object) -> LossConfig:
    return build(LossConfig, {**NONE, term: 1.0, **settings}, "loss")


def noise(rows: int = 3, level: float = 0.05, seed: int = 0) -> Tensor:
    return level * torch.randn(rows, SAMPLES, generator=torch.Generator().manual_seed(seed))


def terms(config: LossConfig, enhanced: Tensor, clean: Tensor) -> dict[str, Tensor]:
    """The loss of an output whose spectrum is that of its waveform."""
    return Loss(config).forward(spectrum(enhanced, SPECTRAL), enhanced, clean)


def value(term: str, enhanced: Tensor, clean: Tensor, **settings: object) -> float:
    return float(terms(only(term, **settings), enhanced, clean)[term])


# against references


def test_the_default_is_the_published_loss() -> None:
    """30 (re + im) + 70 mag - SI-SNR / 10 dB, written out in numpy."""
    clean, enhanced = noise(1), noise(1) + noise(1, 0.02, seed=1)
    window = np.hanning(513)[:-1]

    def frames(x: Tensor) -> np.ndarray:
        padded = np.pad(x[0].double().numpy(), 256)
        return np.stack([np.fft.rfft(window * padded[i : i + 512]) for i in range(0, len(padded) - 511, 256)])

    s, e = frames(clean), frames(enhanced)
    difference = s / np.abs(s) ** 0.7 - e / np.abs(e) ** 0.7
    projected = (clean @ enhanced.T / clean.square().sum()).item() * clean
    expected = {
        "real_imaginary": 30 * (np.mean(difference.real**2) + np.mean(difference.imag**2)),
        "magnitude": 70 * np.mean((np.abs(s) ** 0.3 - np.abs(e) ** 0.3) ** 2),
        "si_snr": -torch.log10(projected.square().sum() / (enhanced - projected).square().sum()).item(),
    }
    found = terms(LossConfig(), enhanced, clean)
    assert {name: float(x) for name, x in found.items()} == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 20.0])
def test_si_snr_is_the_ratio_of_orthogonal_parts_at_any_scale(snr_db: float) -> None:
    time = torch.arange(SAMPLES) / 16_000
    clean, other = torch.sin(2 * torch.pi * 440 * time)[None], torch.sin(2 * torch.pi * 880 * time)[None]
    enhanced = clean + 10 ** (-snr_db / 20) * other
    for scale in (1e-2, 1.0, -3.0):
        assert si_snr_db(scale * enhanced, clean, limit_db=100.0) == pytest.approx(snr_db, abs=1e-3)


def test_si_snr_approaches_its_limit_and_stops_at_an_empty_output() -> None:
    assert si_snr_db(noise(), noise(), limit_db=40.0) == pytest.approx(torch.full((3,), 40.0), abs=0.01)
    assert si_snr_db(0 * noise(), noise(), limit_db=40.0) == pytest.approx(torch.zeros(3), abs=1e-3)


def test_pesq_disturbance_falls_as_the_snr_rises() -> None:
    time = torch.arange(SAMPLES) / 16_000
    syllables = torch.sin(2 * torch.pi * 4 * time).clamp(min=0)
    clean, hiss = noise() * syllables, noise(level=1.0, seed=1)
    disturbances = [value("pesq", clean + level * hiss, clean) for level in (0.0, 0.001, 0.01, 0.1)]
    assert disturbances == sorted(disturbances)
    assert disturbances[0] < 0.05
    assert disturbances[-1] > 1.0


# what the terms mean


@pytest.mark.parametrize("term", sorted(set(TERMS) - {"si_snr", "pesq", "consistency"}))
def test_a_perfect_output_costs_nothing_and_noise_something(term: str) -> None:
    assert value(term, noise(), noise()) == 0
    assert value(term, noise() + noise(3, 0.01, seed=1), noise()) > 1e-4


def test_consistency_asks_for_the_spectrum_of_a_waveform() -> None:
    x = torch.randn(2, 2, 63, 257, generator=torch.Generator().manual_seed(0))
    loss = Loss(only("consistency"))
    once = audio_of(x, SPECTRAL, SAMPLES)
    assert loss(x, once, noise(2))["consistency"] > 0.1
    assert loss(spectrum(once, SPECTRAL), once, noise(2))["consistency"] < 1e-6


def test_over_suppression_counts_what_is_missing_only() -> None:
    clean = noise()
    assert value("over_suppression", 2 * clean, clean) == 0
    assert value("over_suppression", 0.5 * clean, clean) == pytest.approx(
        value("magnitude", 0.5 * clean, clean), rel=1e-5
    )


def test_equal_levels_treat_quiet_and_loud_speech_alike() -> None:
    clean, enhanced = noise(), noise() + noise(3, 0.01, seed=1)
    for term in ("real_imaginary", "multi_resolution", "over_suppression", "waveform"):
        loud = value(term, enhanced, clean, equal_levels=True)
        assert value(term, 0.05 * enhanced, 0.05 * clean, equal_levels=True) == pytest.approx(loud, rel=1e-3)
        assert value(term, 0.05 * enhanced, 0.05 * clean) < 0.5 * value(term, enhanced, clean)


def test_from_network_compares_the_spectrum_that_the_network_gave() -> None:
    config = LossConfig(from_network=True, si_snr=0.0)
    clean = noise()
    exact = Loss(config)(spectrum(clean, SPECTRAL), 0 * clean, clean)
    assert {name: float(x) for name, x in exact.items()} == {"real_imaginary": 0.0, "magnitude": 0.0}
    assert all(x > 1 for x in Loss(config)(0 * spectrum(clean, SPECTRAL), clean, clean).values())


def test_multi_resolution_weighs_noise_alike_at_each_length() -> None:
    """Its value is near that of the terms at the network's own length, so that weights can be compared."""
    pair = noise() + noise(3, 0.02, seed=1), noise()
    own = value("real_imaginary", *pair) + value("magnitude", *pair)
    assert value("multi_resolution", *pair) == pytest.approx(own, rel=0.1)


# weights


def test_terms_of_weight_zero_are_absent_and_weights_multiply() -> None:
    enhanced, clean = noise(seed=1), noise()
    single = terms(only("magnitude", magnitude=2.0, waveform=1.0), enhanced, clean)
    double = terms(only("magnitude", magnitude=4.0, waveform=1.0), enhanced, clean)
    assert list(single) == ["magnitude", "waveform"]
    assert double["magnitude"] == 2 * single["magnitude"]
    assert double["waveform"] == single["waveform"]


# silence


@pytest.mark.parametrize("settings", [{}, {"from_network": True}, {"equal_levels": True}], ids=str)
@pytest.mark.parametrize("output", ["noise", "tiny", "zero", "equal"])
@pytest.mark.parametrize("target", ["speech", "one silent", "silent"])
def test_values_and_gradients_stay_finite(target: str, output: str, settings: dict[str, bool]) -> None:
    clean = noise()
    clean[: {"speech": 0, "one silent": 1, "silent": 3}[target]] = 0.0
    audio = {"noise": noise(seed=1), "tiny": noise(level=1e-12), "zero": 0 * clean, "equal": clean.clone()}[output]
    x = spectrum(audio, SPECTRAL).contiguous().requires_grad_()
    found = Loss(ALL.model_copy(update=settings))(x, audio_of(x, SPECTRAL, SAMPLES), clean)
    assert list(found) == list(TERMS)
    assert all(torch.isfinite(term) for term in found.values())
    for term in found.values():
        (gradient,) = torch.autograd.grad(term, x, retain_graph=True, allow_unused=True)
        assert gradient is None or torch.isfinite(gradient).all()


@pytest.mark.parametrize("term", ["si_snr", "pesq"])
def test_terms_about_speech_leave_silent_targets_out(term: str) -> None:
    clean, enhanced = noise(), noise() + noise(3, 0.02, seed=1)
    clean[1] = 0.0
    assert value(term, enhanced, clean) == pytest.approx(value(term, enhanced[::2], clean[::2]), rel=1e-5)
    assert value(term, enhanced, 0 * clean) == 0


@pytest.mark.parametrize("term", ["real_imaginary", "magnitude", "multi_resolution", "waveform"])
def test_a_silent_target_asks_for_silence(term: str) -> None:
    silence = torch.zeros(3, SAMPLES)
    assert value(term, noise(), silence) > value(term, 0.1 * noise(), silence) > 0


def test_compression_has_a_gradient_at_zero() -> None:
    parts = torch.zeros(2, 4, requires_grad=True)
    compressed = compress(parts, 0.3)
    (compressed.parts.sum() + compressed.magnitude.sum()).backward()
    assert parts.grad is not None
    assert torch.isfinite(parts.grad).all()
    s = torch.tensor([3 + 4j, -1e-2j])
    compressed = compress(torch.view_as_real(s).T, 0.3)
    torch.testing.assert_close(torch.complex(*compressed.parts), s / s.abs() ** 0.7)
    torch.testing.assert_close(compressed.magnitude, s.abs() ** 0.3)


# configuration


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"magnitude": -1.0}, "loss.magnitude must be greater than or equal to 0, not -1.0"),
        ({"pesq": float("nan")}, "loss.pesq must be a finite number"),
        ({"exponent": 0.0}, "loss.exponent must be greater than 0, not 0.0"),
        (NONE, "loss: every weight is 0; raise one of real_imaginary, magnitude, si_snr"),
    ],
)
def test_a_contradictory_configuration_is_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(LossConfig, settings, "loss")


def test_a_missing_pesq_package_is_named_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_pesq", None)
    assert list(terms(LossConfig(), noise(), noise())) == ["real_imaginary", "magnitude", "si_snr"]
    with pytest.raises(GtcrnError, match=r"pip install 'gtcrn\[train\]'"):
        Loss(LossConfig(pesq=1e-3))
