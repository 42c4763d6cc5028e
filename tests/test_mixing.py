"""Mixing: what is asked for is what is measured, and the target is what a listener wants."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from gtcrn.errors import ConfigError
from gtcrn_recipes.mixing.acoustics import active_rms, fast_length, reverberate, rms
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
from gtcrn_recipes.mixing.mixture import Mixture, mix
from gtcrn_recipes.settings import MixingConfig, build

RATE = 16_000
PROBABILITIES = [name for name in MixingConfig.model_fields if name.endswith("_probability")]
NOTHING = build(MixingConfig, dict.fromkeys(PROBABILITIES, 0.0), "mixing")
EVERYTHING = NOTHING.model_copy(update={name: 0.5 for name in PROBABILITIES if "only" not in name})
INPUT_ONLY = ("clipping", "mu_law", "codec", "packet_loss")  # effects that spare the target
ADDITIVE = EVERYTHING.model_copy(update={f"{name}_probability": 0.0 for name in INPUT_ONLY})


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


# levels


@pytest.mark.parametrize("config", [NOTHING, ADDITIVE], ids=["plain", "effects"])
def test_the_snr_asked_for_is_the_snr_measured(config: MixingConfig) -> None:
    for seed in range(4):
        mixture = mixed(config, seed)
        for noisy, heard, asked in zip(mixture.noisy, mixture.heard, mixture.snr_db, strict=True):
            measured = active_db(heard.numpy()) - float(level_db(noisy - heard))
            assert measured == pytest.approx(float(asked), abs=0.02)
            assert -5 <= asked <= 20


def test_the_snr_follows_the_definition_of_the_reference_pairs(shared: Path) -> None:
    for clean_file in sorted((shared / "corpus/valid/clean").glob("*.flac"))[::10]:
        clean = torch.from_numpy(soundfile.read(clean_file, dtype="float32")[0])
        noisy = torch.from_numpy(soundfile.read(shared / "corpus/valid/noisy" / clean_file.name, dtype="float32")[0])
        speech_rms = active_rms(clean, MixingConfig().active_span_db, RATE)
        snr_db = 20 * torch.log10(speech_rms / rms(noisy - clean))
        assert float(snr_db) == pytest.approx(float(clean_file.stem.split("snr")[1]), abs=0.5)


def test_the_level_is_that_of_active_speech_and_covers_its_range() -> None:
    config = only(level_dbfs=(-46.0, -30.0), snr_db=(5.0, 20.0))
    levels = [active_db(row.numpy()) for seed in range(8) for row in mixed(config, seed).heard]
    assert min(levels) == pytest.approx(-46, abs=1.5)
    assert max(levels) == pytest.approx(-30, abs=1.5)


def test_active_level_ignores_pauses_and_follows_the_scale() -> None:
    speech = talk(1)
    gapped = torch.cat([speech, torch.zeros(1, 2 * RATE)], dim=1)
    assert active_rms(gapped, 40, RATE) == pytest.approx(float(active_rms(speech, 40, RATE)), rel=1e-5)
    assert active_rms(speech * 0.125, 40, RATE) == active_rms(speech, 40, RATE) * 0.125
    assert active_rms(torch.zeros(1, RATE), 40, RATE) == 0
    assert active_rms(0.5 * torch.ones(1, 100), 40, RATE) == 0.5


def test_overload_lowers_input_and_target_together() -> None:
    config = only(level_dbfs=(0.0, 0.0), snr_db=(-5.0, 0.0))
    mixture = mixed(config)
    assert mixture.noisy.abs().amax(-1) == pytest.approx(torch.full((8,), 0.99), abs=1e-5)
    assert torch.equal(mixture.clean, mixture.heard)
    for noisy, heard, asked in zip(mixture.noisy, mixture.heard, mixture.snr_db, strict=True):
        assert active_db(heard.numpy()) - float(level_db(noisy - heard)) == pytest.approx(float(asked), abs=0.02)


# determinism


def test_same_seed_same_batch_and_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = (mixed(EVERYTHING, seed) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first.noisy, other.noisy)
    assert torch.equal(before, torch.get_rng_state())


def test_the_inputs_are_not_changed() -> None:
    speech, noise, rir = talk(), hiss(), rooms()
    mix(speech, noise, rir, seeded(), EVERYTHING)
    assert torch.equal(speech, talk())
    assert torch.equal(noise, hiss())
    assert torch.equal(rir, rooms())


def test_an_item_does_not_depend_on_its_neighbours() -> None:
    config = EVERYTHING.model_copy(update={"babble_probability": 0.0, "talker_probability": 0.0})
    speech, noise = talk(), hiss()
    speech[0], noise[0] = 100 * speech[0], 0.0
    changed, before = mixed(config, speech=speech, noise=noise), mixed(config)
    for a, b in zip(changed, before, strict=True):
        torch.testing.assert_close(a[1:], b[1:])


# what is missing: speech, noise, both


def test_items_of_noise_only_have_silence_as_target() -> None:
    mixture = mixed(only(noise_only_probability=1.0))
    assert not mixture.clean.any()
    assert not mixture.heard.any()
    assert mixture.noisy.any(-1).all()
    assert (mixture.snr_db == -torch.inf).all()


def test_items_of_speech_only_are_their_own_target() -> None:
    mixture = mixed(only(speech_only_probability=1.0))
    assert torch.equal(mixture.noisy, mixture.clean)
    assert mixture.noisy.any(-1).all()
    assert (mixture.snr_db == torch.inf).all()


def test_effects_happen_as_often_as_asked() -> None:
    config = only(noise_only_probability=0.2, speech_only_probability=0.1)
    rows = 1500
    snr_db = mixed(config, speech=talk(rows, 512), noise=hiss(rows, 512), rir=torch.zeros(rows, 0)).snr_db
    assert (snr_db == -torch.inf).float().mean() == pytest.approx(0.2, abs=0.04)
    assert (snr_db == torch.inf).float().mean() == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("config", [NOTHING, EVERYTHING, MixingConfig()], ids=["plain", "effects", "default"])
def test_silent_rows_stay_finite(config: MixingConfig) -> None:
    speech, noise, rir = talk(), hiss(), rooms()
    speech[:3], noise[2:5], rir[4:6] = 0.0, 0.0, 0.0
    for seed in range(4):
        mixture = mix(speech, noise, rir, seeded(seed), config)
        assert all(x.isfinite().all() for x in mixture[:3])
        assert not mixture.clean[:3].any()
        assert not mixture.snr_db.isnan().any()


def test_the_noise_floor_of_a_pause_is_not_taken_for_speech() -> None:
    mixture = mixed(NOTHING, speech=talk() * 1e-4)
    assert not mixture.clean.any()
    assert (mixture.snr_db == -torch.inf).all()


@pytest.mark.parametrize(("rows", "samples"), [(1, RATE), (2, 100), (3, 1)])
def test_any_batch_and_length_is_mixed(rows: int, samples: int) -> None:
    config = EVERYTHING.model_copy(update={"babble_probability": 1.0})
    mixture = mix(talk(rows, samples) + 0.1, hiss(rows, samples), rooms(rows, 500), seeded(), config)
    assert mixture.noisy.shape == mixture.clean.shape == (rows, samples)
    assert mixture.noisy.isfinite().all()


# rooms


@pytest.mark.parametrize(("place", "size"), [(0, 0.9), (16, -0.3), (499, 1e-3)])
def test_a_single_impulse_leaves_speech_unchanged(place: int, size: float) -> None:
    rir = torch.zeros(2, 500)
    rir[:, place] = size
    heard, early = reverberate(talk(2), rir, early_samples=0, fade_samples=0).unbind(1)
    torch.testing.assert_close(heard, talk(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(early, talk(2), atol=1e-6, rtol=0)


def test_reverberation_is_a_convolution_aligned_with_the_direct_sound() -> None:
    speech, rir = talk(3), rooms(3)
    heard = reverberate(speech, rir, 800, 320)[:, 0]
    for row, (x, h) in enumerate(zip(speech.numpy(), rir.numpy(), strict=True)):
        direct = 16 * row
        reference = np.convolve(x, h / h[direct])[direct : direct + len(x)]
        np.testing.assert_allclose(heard[row].numpy(), reference, atol=1e-5)


def test_the_target_keeps_early_reflections_only() -> None:
    rir = torch.zeros(1, 4000)
    direct, early, fading, late = 100, 400, 100 + 800 + 160, 3000  # kept until 50 ms = 800 samples, faded by 20 ms
    rir[0, [direct, early, fading, late]] = torch.tensor([0.8, 0.4, 0.4, 0.4])
    impulse = torch.zeros(1, 4000)
    impulse[0, 0] = 1.0
    heard, target = reverberate(impulse, rir, 800, 320)[0]
    assert heard[[0, early - direct, fading - direct, late - direct]] == pytest.approx([1, 0.5, 0.5, 0.5], abs=1e-5)
    assert target[[0, early - direct, fading - direct, late - direct]] == pytest.approx([1, 0.5, 0.25, 0], abs=1e-5)


def test_items_without_a_room_response_stay_dry() -> None:
    config = only(reverb_probability=1.0, noise_reverb_probability=1.0)
    rir = rooms()
    rir[::2] = 0.0
    mixture = mixed(config, rir=rir)
    assert [torch.equal(h, c) for h, c in zip(mixture.heard, mixture.clean, strict=True)] == [True, False] * 4
    dry = mixed(config, rir=torch.zeros(8, 0))
    assert torch.equal(dry.heard, dry.clean)


# colour and bands


def density_db(x: Tensor, low: float, high: float) -> float:
    """Mean power density of a signal between two frequencies, in dB."""
    spectrum = np.abs(np.fft.rfft(x.numpy() * np.hanning(x.shape[-1]))) ** 2
    hz = np.fft.rfftfreq(x.shape[-1], 1 / RATE)
    return float(10 * np.log10(spectrum[..., (hz >= low) & (hz < high)].mean()))


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


# speed


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


# noises


def spectrum_lines(x: Tensor) -> np.ndarray:
    """Multiples of 100 Hz at which a row has a tone stronger than a hundredth of its strongest."""
    size = np.abs(np.fft.rfft(x.numpy()))[::100][: 8000 // 100]
    return np.flatnonzero(size > 0.01 * size.max())


def test_babble_is_made_of_the_other_voices() -> None:
    speech = torch.stack([0.1 * sine(100 * (row + 1)) for row in range(10)])
    config = only(babble_probability=1.0, babble_voices=(3.0, 5.0))
    counts = set()
    for seed in range(4):
        mixture = mixed(config, seed, speech=speech, noise=hiss(10), rir=rooms(10))
        for row, rest in enumerate(mixture.noisy - mixture.heard):
            voices = spectrum_lines(rest)
            assert row + 1 not in voices
            counts.add(len(voices))
    assert counts == {3, 4, 5}


def test_coloured_noise_replaces_the_first_noise() -> None:
    mixture = mixed(only(coloured_probability=1.0, coloured_exponent=(2.0, 2.0)), noise=torch.zeros(8, 2, RATE))
    rest = mixture.noisy - mixture.heard
    assert density_db(rest, 200, 250) - density_db(rest, 400, 500) == pytest.approx(6, abs=1)
    assert np.corrcoef(rest.numpy())[0, 1:].max() < 0.5


def test_the_second_noise_has_its_level_below_the_first() -> None:
    noise = torch.stack([sine(500), 0.01 * sine(1000)]).expand(8, 2, RATE)
    mixture = mixed(only(second_noise_probability=1.0, second_noise_db=(-9.0, -6.0)), noise=noise)
    size = np.abs(np.fft.rfft((mixture.noisy - mixture.heard).numpy()))
    ratio_db = 20 * np.log10(size[:, 1000] / size[:, 500])
    assert ((ratio_db > -9.01) & (ratio_db < -5.99)).all()
    assert ratio_db.std() > 0.1


def test_noise_can_stand_in_a_room_without_speech_doing_so() -> None:
    mixture = mixed(only(noise_reverb_probability=1.0), noise=torch.eye(8, RATE)[:, None].expand(8, 2, RATE) * 0.5)
    assert torch.equal(mixture.heard, mixture.clean)
    rest = (mixture.noisy - mixture.heard).abs()
    assert (rest[:, 100:2000].amax(-1) > 0.001 * rest.amax(-1)).all()


# clipping


def test_clipping_limits_the_input_and_spares_the_target() -> None:
    config = only(snr_db=(10.0, 10.0), level_dbfs=(-40.0, -40.0))
    plain, clipped = (
        mixed(config),
        mixed(config.model_copy(update={"clipping_probability": 1.0, "clipping_db": (6.0, 6.0)})),
    )
    limit = plain.noisy.abs().amax(-1, keepdim=True) * 10 ** (-6 / 20)
    torch.testing.assert_close(clipped.noisy, plain.noisy.clamp(-limit, limit))
    assert torch.equal(clipped.clean, plain.clean)


# helpers and configuration


def test_an_effect_on_some_rows_is_the_effect_on_all_where_chosen() -> None:
    chosen = torch.tensor([True, False, True, False])
    signal, factor = talk(4), torch.arange(4.0)
    result = on_rows(chosen, lambda rows, f: rows * f[:, None], signal, factor)
    assert torch.equal(result, torch.where(chosen[:, None], signal * factor[:, None], signal))
    assert on_rows(torch.zeros(4, dtype=torch.bool), torch.neg, signal) is signal


@pytest.mark.parametrize("samples", [1, 7, 512, 513, 32_000, 48_001, 65_537])
def test_fast_lengths_are_long_enough_and_little_longer(samples: int) -> None:
    assert samples <= fast_length(samples) <= max(8, samples * 1.25)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reverb_probability": 1.5}, "mixing.reverb_probability must be less than or equal to 1, not 1.5"),
        ({"clipping_probability": float("nan")}, "mixing.clipping_probability must be a finite number"),
        ({"snr_db": (20.0, -5.0)}, r"mixing.snr_db must be \[lowest, highest\], not \[20.0, -5.0\]"),
        ({"low_pass_hz": (0.0, 4000.0)}, "mixing.low_pass_hz must be greater than 0, not 0.0"),
        ({"early_ms": -1.0}, "mixing.early_ms must be greater than or equal to 0, not -1.0"),
        ({"noise_only_probability": 0.6, "speech_only_probability": 0.6}, "must not exceed 1 together"),
    ],
)
def test_a_contradictory_configuration_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(MixingConfig, changes, "mixing")
