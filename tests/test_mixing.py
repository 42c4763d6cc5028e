"""Mixing: what is asked for is what is measured, and the target is what a listener wants."""

from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from mixtures import NOTHING, PROBABILITIES, RATE, active_db, hiss, level_db, mixed, only, rooms, seeded, talk

from gtcrn.errors import ConfigError
from gtcrn_recipes.mixing.acoustics import active_rms, fast_length, rms
from gtcrn_recipes.mixing.mixture import mix
from gtcrn_recipes.settings import MixingConfig, build

EVERYTHING = NOTHING.model_copy(update={name: 0.5 for name in PROBABILITIES if "only" not in name})
INPUT_ONLY = ("clipping", "mu_law", "codec", "packet_loss")  # effects that spare the target
ADDITIVE = EVERYTHING.model_copy(update={f"{name}_probability": 0.0 for name in INPUT_ONLY})


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
