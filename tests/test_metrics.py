"""Metrics against the packages behind them, closed forms, and what the authors of the composite measures published."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pesq
import pystoi
import pytest
import soundfile as sf
from audio_trees import hiss, voice
from numpy.typing import NDArray
from scipy.linalg import solve_toeplitz

from gtcrn.errors import AudioError, GtcrnError
from gtcrn_recipes.evaluation import composite, metrics

CLEAN = voice(3.0)
NOISY = CLEAN + hiss(3.0)
SAMPLES = Path(__file__).parent.parent / "samples"
WITH_CLEAN = (metrics.wb_pesq, metrics.stoi, metrics.estoi, metrics.si_sdr, metrics.composite)


def test_si_sdr_is_the_ratio_of_target_to_orthogonal_distortion() -> None:
    t = np.arange(16_000) / 16_000
    clean, other = np.sin(2 * np.pi * 100 * t), np.cos(2 * np.pi * 100 * t)
    assert metrics.si_sdr(clean, clean + 0.1 * other) == pytest.approx(20, abs=1e-6)
    assert metrics.si_sdr(clean, 3 * clean + other) == pytest.approx(20 * np.log10(3), abs=1e-6)


@pytest.mark.parametrize("gain", [1e-3, -1.0, 40.0])
def test_si_sdr_knows_no_scale_and_no_offset(gain: float) -> None:
    assert metrics.si_sdr(CLEAN, gain * NOISY + 0.2) == pytest.approx(metrics.si_sdr(CLEAN, NOISY), abs=1e-6)
    assert metrics.si_sdr(gain * CLEAN, NOISY) == pytest.approx(metrics.si_sdr(CLEAN, NOISY), abs=1e-6)


def test_si_sdr_of_a_perfect_file_is_finite_and_beyond_any_real_one() -> None:
    assert 140 < metrics.si_sdr(CLEAN, CLEAN) < 160


def test_pesq_is_that_of_the_package_with_its_order_of_arguments() -> None:
    assert metrics.wb_pesq(CLEAN, NOISY) == pytest.approx(pesq.pesq(16_000, CLEAN, NOISY, "wb"))
    assert metrics.wb_pesq(CLEAN, NOISY) != pytest.approx(metrics.wb_pesq(NOISY, CLEAN), abs=0.01)
    assert metrics.wb_pesq(CLEAN, CLEAN) == pytest.approx(4.644, abs=1e-3)


def test_stoi_and_estoi_are_those_of_the_package() -> None:
    for own, extended in ((metrics.stoi, False), (metrics.estoi, True)):
        assert own(CLEAN, NOISY) == pytest.approx(pystoi.stoi(CLEAN, NOISY, 16_000, extended=extended))
        assert own(CLEAN, CLEAN) == pytest.approx(1, abs=1e-6)
    assert metrics.estoi(CLEAN, NOISY) < metrics.stoi(CLEAN, NOISY) < 1


@pytest.mark.parametrize("metric", WITH_CLEAN)
@pytest.mark.parametrize(
    ("enhanced", "sentence"),
    [
        (np.zeros(48_000), "enhanced is silent"),
        (np.r_[NOISY[:-1], np.nan], "enhanced holds NaN"),
        (NOISY[:-1], "clean has 48000 samples and enhanced 47999"),
        (np.stack([NOISY, NOISY]), "one channel"),
        (np.zeros(0), "one channel"),
    ],
)
def test_what_cannot_be_scored_is_told(
    metric: Callable[..., float], enhanced: NDArray[np.float64], sentence: str
) -> None:
    with pytest.raises(AudioError, match=sentence):
        metric(CLEAN, enhanced)


def test_too_little_speech_is_told_instead_of_scored() -> None:
    with pytest.raises(AudioError, match="PESQ cannot score"):
        metrics.wb_pesq(CLEAN[:1000], NOISY[:1000])
    for samples in (300, 4000):
        with pytest.raises(AudioError, match=r"less than 0\.4 s"):
            metrics.stoi(CLEAN[:samples], NOISY[:samples])
    with pytest.raises(AudioError, match="8000 Hz"):
        metrics.wb_pesq(CLEAN, NOISY, sample_rate=8000)


@pytest.mark.parametrize(("module", "metric"), [("pesq", metrics.wb_pesq), ("pystoi", metrics.stoi)])
def test_a_missing_package_names_the_extra(
    module: str, metric: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(GtcrnError, match=r"pip install 'gtcrn\[eval\]'"):
        metric(CLEAN, NOISY)


def test_regression_gives_the_example_that_the_authors_print() -> None:
    """The read-me of their program: LLR 0.681368, segmental SNR 3.991727, WSS 49.671978 and PESQ 2.255732."""
    scores = composite.regression(2.255732, 0.681368, 49.671978, 3.991727)
    assert scores == pytest.approx((3.3050, 2.6160, 2.7133), abs=1e-4)


def test_composite_of_a_perfect_file_is_the_best() -> None:
    assert composite.llr(CLEAN, CLEAN) == 0
    assert composite.wss(CLEAN, CLEAN) == 0
    assert composite.segmental_snr(NOISY, NOISY) == 35
    assert metrics.composite(NOISY, NOISY) == (5, 5, 5)


def test_composite_falls_as_noise_rises_and_spares_pesq_when_it_is_known() -> None:
    quiet, loud = (metrics.composite(CLEAN, CLEAN + gain * hiss(3.0)) for gain in (0.001, 0.1))
    assert quiet.csig > loud.csig
    assert quiet.cbak > loud.cbak
    assert quiet.covl > loud.covl
    known = metrics.wb_pesq(CLEAN, NOISY)
    assert metrics.composite(CLEAN, NOISY, pesq=known) == metrics.composite(CLEAN, NOISY)


def test_segmental_snr_of_a_constant_ratio() -> None:
    assert composite.segmental_snr(NOISY, 1.1 * NOISY) == pytest.approx(20, abs=1e-3)
    assert composite.segmental_snr(NOISY, 100 * NOISY) == -10


def test_llr_ignores_gain_and_agrees_with_a_general_solver() -> None:
    assert composite.llr(NOISY, 5 * NOISY) == pytest.approx(0, abs=1e-6)
    r = composite.autocorrelation(composite.frames(np.convolve(hiss(0.03), [1, 0.7, 0.2])[:480]))
    expected = np.r_[1, solve_toeplitz(r[0, :-1], -r[0, 1:])]
    np.testing.assert_allclose(composite.predictor(r)[0], expected, atol=1e-9)


def test_digital_silence_between_words_does_not_spoil_the_score() -> None:
    gated = NOISY * (np.arange(48_000) % 16_000 > 6_000)
    assert composite.llr(gated, gated + 1e-4 * hiss(3.0)) < 0.1


def test_wss_weighs_towards_the_peaks() -> None:
    """One hill of energies: downhill bands look back to its top, uphill ones to the band before it."""
    energy = -np.abs(np.arange(25.0) - 10)[None]
    peaks = composite.next_peak(energy, np.diff(energy, axis=1))
    np.testing.assert_array_equal(peaks[0], [-1.0] * 10 + [0.0] * 14)
    weights = composite.slope_weights(energy, np.diff(energy, axis=1))[0]
    assert weights[10] == 1
    assert weights[10] > weights[14] > weights[20]


def test_wss_ignores_gain() -> None:
    assert composite.wss(NOISY, 3 * NOISY) == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_dnsmos_is_that_of_the_package_and_takes_audio_beyond_full_scale() -> None:
    from speechmos import dnsmos

    loudest = (NOISY / np.abs(NOISY).max())[: int(2.3 * 16_000)]  # repeated to 9.2 s: one window
    expected = dnsmos.run(loudest.astype(np.float32), 16_000)
    scores = metrics.dnsmos(loudest)
    assert scores == pytest.approx({name: expected[f"{name}_mos"] for name in ("ovrl", "sig", "bak", "p808")}, abs=1e-3)
    assert metrics.dnsmos(10 * loudest) == pytest.approx(scores, abs=1e-3)


@pytest.mark.slow
def test_noisy_figures_of_the_reference_pairs(shared: Path) -> None:
    """WB-PESQ, ESTOI and SI-SDR of the 24 pairs at -5 dB, as they were measured when the pairs were made."""
    pairs = [
        (sf.read(path.parent.parent / "clean" / path.name)[0], sf.read(path)[0])
        for path in sorted((shared / "corpus/valid/noisy").glob("*_snr-05.flac"))
    ]
    means = [np.mean([score(*pair) for pair in pairs]) for score in (metrics.wb_pesq, metrics.estoi, metrics.si_sdr)]
    np.testing.assert_allclose(means, (1.133, 0.370, -6.81), atol=0.005)


@pytest.mark.slow
def test_distillmos_prefers_clean_speech_whatever_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    clean, noisy = (sf.read(SAMPLES / f"{name}.wav", dtype="float32")[0] for name in ("clean", "noisy"))
    score = metrics.distillmos(clean)
    assert 1 <= metrics.distillmos(noisy) < score
    assert score < 5.01
    assert metrics.distillmos(0.1 * clean) == pytest.approx(score, abs=1e-3)
    assert capsys.readouterr().out == ""
