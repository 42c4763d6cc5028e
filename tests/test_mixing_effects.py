"""What mixing does to sound: bands, colours, speed, clipping, as much as is asked for and where it is asked for."""

import numpy as np
import pytest
import torch
from mixtures import PROBABILITIES, RATE, density_db, hiss, level_db, mixed, only, seeded, sine, talk

from gtcrn_recipes.mixing import draws
from gtcrn_recipes.mixing.draws import on_rows
from gtcrn_recipes.mixing.effects import (
    EQUALISER_HZ,
    apply_curve,
    band_curve,
    change_speed,
    coloured_noise,
    equaliser_curve,
    frequencies,
    tilt_curve,
)


def test_a_low_pass_limits_input_and_target_alike() -> None:
    config = only(low_pass_probability=1.0, low_pass_hz=(4000.0, 4000.0))
    mixture = mixed(config, speech=hiss()[:, 0])
    for x in (mixture.noisy, mixture.clean):
        assert density_db(x, 4500, 8000) - density_db(x, 500, 3900) < -65
        assert density_db(x, 3000, 3950) - density_db(x, 500, 1500) == pytest.approx(0, abs=0.5)


def test_the_telephone_band_reaches_from_300_to_3400_hz() -> None:
    mixture = mixed(only(telephone_probability=1.0), speech=hiss()[:, 0])
    for x in (mixture.noisy, mixture.clean):
        assert density_db(x, 20, 120) - density_db(x, 500, 3000) < -60
        assert density_db(x, 3800, 8000) - density_db(x, 500, 3000) < -65
        assert density_db(x, 310, 500) - density_db(x, 500, 3000) == pytest.approx(0, abs=0.5)


def test_speech_and_noise_are_coloured_separately() -> None:
    tilted = {"tilt_db": (3.0, 3.0), "equaliser_db": (0.0, 0.0), "snr_db": (0.0, 0.0), "level_dbfs": (-40.0, -40.0)}
    for which in ("speech", "noise"):
        mixture = mixed(
            only(**{f"{which}_colour_probability": 1.0}, **tilted), speech=hiss(seed=5)[:, 0], noise=hiss(seed=6)
        )
        slopes = {
            name: density_db(x, 2000, 2800) - density_db(x, 1000, 1400)
            for name, x in {"speech": mixture.clean, "noise": mixture.noisy - mixture.clean}.items()
        }
        other = "noise" if which == "speech" else "speech"
        assert slopes[which] == pytest.approx(3.0, abs=0.5)
        assert slopes[other] == pytest.approx(0.0, abs=0.5)


def test_a_tilt_is_its_decibels_for_each_octave() -> None:
    hz = frequencies(RATE, torch.device("cpu"))
    for tone, expected in {500: 3.0, 1000: 0.0, 2000: -3.0, 4000: -6.0}.items():
        filtered = apply_curve(sine(tone)[None], tilt_curve(torch.tensor([-3.0]), hz))
        assert level_db(filtered[:, 2000:-2000]) - level_db(sine(tone)[2000:-2000]) == pytest.approx(expected, abs=0.1)


def test_an_equaliser_has_its_gains_at_the_octaves() -> None:
    hz = frequencies(RATE, torch.device("cpu"))
    gains = torch.tensor([[6.0, -4.0, 3.0, 0.0, -6.0, 2.0, 5.0]])
    curve = equaliser_curve(gains, hz)
    for tone, gain in zip(EQUALISER_HZ[2:], gains[0, 2:].tolist(), strict=True):
        filtered = apply_curve(sine(tone)[None], curve)
        assert level_db(filtered[:, 2000:-2000]) - level_db(sine(tone)[2000:-2000]) == pytest.approx(gain, abs=0.3)
    assert curve.max() <= 6.0 + 1e-4
    assert curve.min() >= -6.0 - 1e-4


def test_a_filter_keeps_time_and_wraps_nothing_round() -> None:
    hz = frequencies(RATE, torch.device("cpu"))
    curve = band_curve(torch.tensor([300.0]), torch.tensor([3400.0]), hz)
    for place in (0, 8000, 15999):
        impulse = torch.zeros(1, RATE)
        impulse[0, place] = 1.0
        response = apply_curve(impulse, curve)[0].abs()
        assert int(response.argmax()) == place
        assert response[(torch.arange(RATE) - place).abs() > 1100].max() < 1e-3
    torch.testing.assert_close(apply_curve(talk(), torch.zeros(8, 513)), talk(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 1.0, 2.0])
def test_coloured_noise_has_its_spectral_exponent(exponent: float) -> None:
    noise = coloured_noise(torch.randn(16, RATE, generator=seeded()), torch.full((16,), exponent), RATE)
    per_octave = (density_db(noise, 4000, 5000) - density_db(noise, 250, 312.5)) / 4
    assert per_octave == pytest.approx(-exponent * 10 * np.log10(2), abs=0.2)


@pytest.mark.parametrize("speed", [0.8, 0.9, 1.0, 1.1, 1.25])
@pytest.mark.parametrize(("tone", "error_db"), [(200, -60), (3000, -45), (6000, -25)])
def test_speed_moves_the_pitch_and_adds_nothing(tone: int, error_db: float, speed: float) -> None:
    changed = change_speed(sine(tone)[None], torch.tensor([speed]))[0, : int(RATE / 1.25)]
    expected = sine(tone * speed)[: len(changed)]
    assert level_db(changed - expected) - level_db(expected) < error_db


def test_what_speed_would_alias_is_removed() -> None:
    changed = change_speed(sine(7500)[None], torch.tensor([1.1]))
    assert changed.abs().max() < 0.01


def test_speech_and_its_target_change_speed_together() -> None:
    config = only(speech_speed_probability=1.0, noise_speed_probability=1.0, speed=(1.1, 1.1))
    noise = torch.stack([sine(2000), sine(2000)]).expand(8, 2, RATE)
    mixture = mixed(config, speech=0.1 * sine(1000).expand(8, RATE), noise=noise)
    assert torch.equal(mixture.heard, mixture.clean)
    assert {int(np.abs(np.fft.rfft(x)).argmax()) for x in mixture.clean.numpy()} == {1100}
    assert {int(np.abs(np.fft.rfft(x)).argmax()) for x in (mixture.noisy - mixture.heard).numpy()} == {2200}


def test_clipping_limits_the_input_and_spares_the_target() -> None:
    config = only(snr_db=(10.0, 10.0), level_dbfs=(-40.0, -40.0))
    plain, clipped = (
        mixed(config),
        mixed(config.model_copy(update={"clipping_probability": 1.0, "clipping_db": (6.0, 6.0)})),
    )
    limit = plain.noisy.abs().amax(-1, keepdim=True) * 10 ** (-6 / 20)
    torch.testing.assert_close(clipped.noisy, plain.noisy.clamp(-limit, limit))
    assert torch.equal(clipped.clean, plain.clean)


def test_an_effect_on_some_rows_is_the_effect_on_all_where_chosen() -> None:
    chosen = torch.tensor([True, False, True, False])
    signal, factor = talk(4), torch.arange(4.0)
    result = on_rows(chosen, lambda rows, f: rows * f[:, None], signal, factor)
    assert result is signal
    assert torch.equal(result, torch.where(chosen[:, None], talk(4) * factor[:, None], talk(4)))
    assert on_rows(torch.zeros(4, dtype=torch.bool), torch.neg, signal) is signal


def test_where_all_rows_are_computed_the_mixture_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws.Draws, "normal", lambda self, *shape: torch.zeros(shape))  # as many as rows are computed
    left_out = ("coloured", "wind", "mu_law", "codec")  # these need such draws, or round what is nearly equal
    config = only(**{name: 0.4 for name in PROBABILITIES if not name.startswith(left_out)})
    few = mixed(config)
    monkeypatch.setattr(draws, "CHOOSY", ())
    for some, all_rows in zip(few, mixed(config), strict=True):
        torch.testing.assert_close(all_rows, some, atol=1e-5, rtol=0)
