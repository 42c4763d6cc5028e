"""Microphones, gains, codecs, lost packets, wind, other voices: each does what its name says, on the right side."""

from typing import Any

import numpy as np
import pytest
import torch
from mixtures import RATE, density_db, hiss, level_db, mixed, only, seeded, sine, talk
from torch import Tensor

from gtcrn_recipes.mixing.channel import gain_step, lose_packets, lost_packets, mu_law
from gtcrn_recipes.mixing.codecs import CODECS, round_trip
from gtcrn_recipes.mixing.effects import frequencies, microphone_curve, shift_formants, wind

FIXED = {"snr_db": (10.0, 10.0), "level_dbfs": (-30.0, -30.0)}


def vowel(pitch: int, formant: float, samples: int = RATE) -> Tensor:
    """Harmonics of `pitch` Hz under one resonance: (1, samples)."""
    hz = np.arange(pitch, 8000, pitch)
    size = np.exp(-0.5 * ((hz - formant) / 400) ** 2) + 0.01
    return 0.1 * torch.stack([float(a) * sine(float(f), samples) for f, a in zip(hz, size, strict=True)]).sum(0, True)


def resonance(x: Tensor) -> float:
    """Centre of the power between 500 and 4000 Hz, in Hz."""
    power = np.abs(np.fft.rfft(x[0].numpy())) ** 2
    hz = np.fft.rfftfreq(x.shape[-1], 1 / RATE)
    inside = (hz > 500) & (hz < 4000)
    return float((hz * power)[inside].sum() / power[inside].sum())


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.18])
def test_formants_move_and_the_pitch_stays(factor: float) -> None:
    changed = shift_formants(vowel(120, 1800), torch.tensor([factor]))
    assert resonance(changed) == pytest.approx(1800 * factor, rel=0.06)
    size = np.abs(np.fft.rfft(changed[0].numpy()))
    strongest = int(size.argmax())
    assert min(strongest % 120, -strongest % 120) <= 1
    if factor == 1:
        torch.testing.assert_close(changed, vowel(120, 1800), atol=1e-4, rtol=0)


def test_a_silent_row_has_no_formants_to_move() -> None:
    assert shift_formants(torch.zeros(2, RATE), torch.tensor([0.9, 1.1])).abs().max() < 1e-6


def test_a_microphone_falls_at_its_edges_and_rises_at_its_peaks() -> None:
    hz = frequencies(RATE, torch.device("cpu"))
    curve = microphone_curve(
        torch.tensor([[200.0, 6000.0]]), torch.tensor([[2000.0, 5000.0]]), torch.tensor([[6.0, 0.0]]), hz
    )[0]
    at = {int(f): float(curve[int(f / 8000 * 512)]) for f in (125, 500, 2000, 6000)}
    assert at[125] == pytest.approx(-8.8, abs=0.3)
    assert at[500] == pytest.approx(0, abs=0.5)
    assert at[2000] == pytest.approx(6, abs=0.3)
    assert at[6000] == pytest.approx(-3, abs=0.3)


def test_a_microphone_and_a_gain_are_for_both_sides() -> None:
    """The denoiser is not asked to undo them: without noise, the target is the input."""
    for name in ("microphone", "gain_step"):
        changes = {f"{name}_probability": 1.0, "speech_only_probability": 1.0}
        changed, plain = mixed(only(**changes, **FIXED)), mixed(only(speech_only_probability=1.0, **FIXED))
        assert torch.equal(changed.noisy, changed.clean)
        assert not torch.allclose(changed.noisy, plain.noisy, atol=1e-3)


@pytest.mark.parametrize("name", ["mu_law", "codec", "packet_loss"])
def test_what_a_line_does_is_for_the_input_alone(name: str) -> None:
    changed, plain = mixed(only(**{f"{name}_probability": 1.0}, **FIXED)), mixed(only(**FIXED))
    assert (changed.clean - plain.clean).abs().max() == 0
    assert not torch.allclose(changed.noisy, plain.noisy, atol=1e-4)
    for row, (a, b) in enumerate(zip(changed.noisy.numpy(), plain.noisy.numpy(), strict=True)):
        likeness = np.fft.irfft(np.fft.rfft(a, 40_000) * np.fft.rfft(b, 40_000).conj())
        assert min(int(likeness.argmax()), 40_000 - int(likeness.argmax())) <= 1, row


def test_a_gain_changes_once_and_by_what_was_asked() -> None:
    changed = gain_step(torch.ones(2, RATE), torch.tensor([0.5, 0.25]), torch.tensor([6.0, -12.0]))
    assert changed[0, [7999, 8200]] == pytest.approx(torch.tensor([1.0, 10 ** (6 / 20)]))
    assert changed[1, [3999, 4300]] == pytest.approx(torch.tensor([1.0, 10 ** (-12 / 20)]))


def test_mu_law_has_256_levels_and_38_db_of_speech_over_its_noise() -> None:
    speech = talk(1)
    coded = mu_law(speech)
    assert len(mu_law(torch.linspace(-1, 1, 10_000)[None]).unique()) == 256
    assert float(level_db(speech) - level_db(speech - coded)) == pytest.approx(38, abs=3)


@pytest.mark.parametrize("name", sorted(CODECS))
def test_codecs_come_back_aligned_and_changed(name: str) -> None:
    pytest.importorskip("av")
    speech = talk(1, 2 * RATE)[0].numpy()
    for samples in (2 * RATE, 12_345):
        coded = round_trip(speech[:samples], name, 24.0)
        assert coded.shape == (samples,)
        likeness = np.fft.irfft(np.fft.rfft(coded, 70_000) * np.fft.rfft(speech[:samples], 70_000).conj())
        assert min(int(likeness.argmax()), 70_000 - int(likeness.argmax())) <= 1
        assert 0.02 < np.std(coded - speech[:samples]) / np.std(speech[:samples]) < 1.2


def test_packets_are_lost_in_bursts() -> None:
    starts = torch.tensor([[False, True, False, False, False, True, False]])
    lengths = torch.tensor([[4, 3, 1, 1, 1, 1, 4]])
    assert lost_packets(starts, lengths).int().tolist() == [[0, 1, 1, 1, 0, 1, 0]]


def test_a_lost_packet_is_silent_or_the_last_one_again() -> None:
    signal = torch.arange(1.0, 11.0).expand(2, 10)
    lost = torch.tensor([[True, False, True, True, False]] * 2)
    heard = lose_packets(signal, lost, torch.tensor([0.0, 0.5]), 2)
    assert heard.tolist() == [[0, 0, 3, 4, 0, 0, 0, 0, 9, 10], [0, 0, 3, 4, 1.5, 2, 0.75, 1, 9, 10]]


def test_about_the_share_of_packets_asked_for_is_lost() -> None:
    audio: dict[str, Any] = {"speech": talk(64), "noise": hiss(64), "rir": torch.zeros(64, 0)}
    config = only(packet_loss_probability=1.0, packet_loss=(0.1, 0.1), **FIXED)
    lost = mixed(config, **audio).noisy != mixed(only(**FIXED), **audio).noisy
    assert lost.float().mean() == pytest.approx(0.1, abs=0.025)


def test_wind_rumbles_and_comes_in_gusts() -> None:
    noise = wind(
        torch.randn(8, 4 * RATE, generator=seeded()),
        torch.randn(8, 18, generator=seeded(1)),
        torch.full((8,), 3.0),
        8.0,
        RATE,
    )
    assert density_db(noise, 50, 100) - density_db(noise, 1000, 2000) > 25
    loudness = level_db(noise.unfold(-1, RATE // 4, RATE // 4))
    assert loudness.std(-1).mean() > 4


def test_a_talker_nearby_is_noise_and_one_of_the_others() -> None:
    speech = torch.stack([0.1 * sine(100 * (row + 1)) for row in range(8)])
    config = only(talker_probability=1.0, talker_db=(0.0, 0.0), **FIXED)
    mixture = mixed(config, speech=speech, noise=0.1 * sine(5000).expand(8, 2, RATE))
    size = np.abs(np.fft.rfft((mixture.noisy - mixture.heard).numpy()))
    for row in range(8):
        other = (row - 1) % 8
        assert size[row, 100 * (other + 1)] == pytest.approx(size[row, 5000], rel=0.05)
        assert size[row, 100 * (row + 1)] < 0.01 * size[row, 5000]


def test_a_talker_is_left_out_where_nobody_else_speaks() -> None:
    speech = torch.stack([0.1 * sine(100 * (row + 1)) for row in range(8)])
    speech[3] *= 1e-3  # -83 dBFS: taken for silence
    noise = 0.1 * sine(5000).expand(8, 2, RATE)
    config = only(talker_probability=1.0, noise_only_probability=0.5, talker_db=(0.0, 0.0))
    mixture = mixed(config, speech=speech, noise=noise)
    size = np.abs(np.fft.rfft(mixture.noisy.numpy()))
    alone = mixture.snr_db == -torch.inf
    assert 2 < alone.sum() < 7
    assert alone[3]
    for row in range(8):
        talker = size[row, 100 * ((row - 1) % 8 + 1)] / size[row, 5000]
        assert talker == pytest.approx(0 if alone[row] or row == 4 else 1, abs=0.05)


def test_a_talker_has_its_level_relative_to_both_noises() -> None:
    noise = torch.stack([sine(5000), sine(6000)]).expand(8, 2, RATE)
    second = {"second_noise_probability": 1.0, "second_noise_db": (0.0, 0.0)}
    speech = torch.stack([0.1 * sine(100 * (row + 1)) for row in range(8)])
    mixture = mixed(only(talker_probability=1.0, talker_db=(0.0, 0.0), **second, **FIXED), speech=speech, noise=noise)
    size = np.abs(np.fft.rfft((mixture.noisy - mixture.heard).numpy()))
    for row in range(8):
        talker = size[row, 100 * ((row - 1) % 8 + 1)]
        assert talker == pytest.approx(np.hypot(size[row, 5000], size[row, 6000]), rel=0.05)
