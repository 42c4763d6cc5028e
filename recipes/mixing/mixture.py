"""Noisy speech and its target, mixed while training: pure functions of audio, a generator and a configuration.

speech -> speed -> colour, band -> room -> heard speech --- x level -------- + -> overload -> noisy
                                       `-> early part  ---- x level ---------|-------------> clean
noise  -> speed -> colour, band -> room ------------------- x level - SNR ---'
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gtcrn_recipes.mixing.acoustics import active_rms, amplitude, reverberate, rms
from gtcrn_recipes.mixing.draws import Draws, on_rows
from gtcrn_recipes.mixing.effects import (
    EQUALISER_HZ,
    apply_curve,
    band_curve,
    change_speed,
    clip,
    coloured_noise,
    equaliser_curve,
    frequencies,
    tilt_curve,
)
from gtcrn_recipes.settings import MixingConfig

TELEPHONE_HZ = (300.0, 3400.0)
FULL_SCALE = 0.99  # peak that a mixture may reach
SILENCE = 1e-6  # -120 dBFS, below one step of 16-bit audio: nothing there


class Mixture(NamedTuple):
    """One training batch; dimension 0 of each field is the item."""

    noisy: Tensor  # (B, N) input of the network, in [-1, 1]
    clean: Tensor  # (B, N) what it should return
    heard: Tensor  # (B, N) speech within `noisy` before clipping: with all its reverberation
    snr_db: Tensor  # (B,) active level of `heard` over level of the rest; +inf without noise, -inf without speech


def mix(speech: Tensor, noise: Tensor, rir: Tensor, generator: torch.Generator, config: MixingConfig) -> Mixture:
    """Mix one batch: speech (B, N), two noises for each item (B, 2, N), room responses (B, L), float32 in [-1, 1].

    An item whose room response is all zeros stays dry, and with L = 0 all do. `generator` must be on the device of the
    audio; the same generator state gives the same batch, bit for bit.
    """
    draw = Draws(generator, len(speech))
    speech, noise = _speed(draw, speech, noise, config)
    speech_curve, noise_curve = _curves(draw, config)
    noise = _noise(draw, speech, noise, config)
    speech = on_rows(speech_curve.any(-1), apply_curve, speech, speech_curve)
    noise = on_rows(noise_curve.any(-1), apply_curve, noise, noise_curve)
    heard, clean, noise = _place_in_room(draw, speech, noise, rir, config)
    heard, clean, noise, snr_db = _set_levels(draw, heard, clean, noise, config)
    noisy = on_rows(draw.chance(config.clipping_probability), clip, heard + noise, draw.uniform(*config.clipping_db))
    return Mixture(noisy, clean, heard, snr_db)


def _speed(draw: Draws, speech: Tensor, noise: Tensor, config: MixingConfig) -> tuple[Tensor, Tensor]:
    """Some speech and some noises slower or faster."""
    chosen = draw.chance(config.speech_speed_probability)
    speech = on_rows(chosen, change_speed, speech, draw.uniform(*config.speed))
    chosen = draw.uniform(0, 1, 2) < config.noise_speed_probability
    noises = on_rows(chosen.flatten(), change_speed, noise.flatten(0, 1), draw.uniform(*config.speed, 2).flatten())
    return speech, noises.view_as(noise)


def _curves(draw: Draws, config: MixingConfig) -> tuple[Tensor, Tensor]:
    """Filters of speech and noise in dB, (B, points): a colour for each, and the band limits that they share."""
    hz = frequencies(config.sample_rate, draw.generator.device)
    band = _band(draw, hz, config)
    speech = _colour(draw, config.speech_colour_probability, hz, config)
    noise = _colour(draw, config.noise_colour_probability, hz, config)
    return speech + band, noise + band


def _colour(draw: Draws, probability: float, hz: Tensor, config: MixingConfig) -> Tensor:
    equaliser = equaliser_curve(draw.uniform(*config.equaliser_db, len(EQUALISER_HZ)), hz)
    tilt = tilt_curve(draw.uniform(*config.tilt_db), hz)
    return (equaliser + tilt) * draw.chance(probability)[:, None]


def _band(draw: Draws, hz: Tensor, config: MixingConfig) -> Tensor:
    telephone = draw.chance(config.telephone_probability)
    limited = draw.chance(config.low_pass_probability)
    high = torch.where(limited, draw.uniform(*config.low_pass_hz), config.sample_rate / 2)
    return band_curve(TELEPHONE_HZ[0] * telephone, torch.where(telephone, TELEPHONE_HZ[1], high), hz)


def _noise(draw: Draws, speech: Tensor, recorded: Tensor, config: MixingConfig) -> Tensor:
    """The noise of each item at a level of 1 before its filters: recorded, coloured or babble, perhaps two at once."""
    first, second = recorded[:, 0], recorded[:, 1]
    first = on_rows(
        draw.chance(config.coloured_probability),
        lambda rows, exponent: coloured_noise(draw.normal(*rows.shape), exponent, config.sample_rate),
        first,
        draw.uniform(*config.coloured_exponent),
    )
    crowd = draw.chance(config.babble_probability) & (len(speech) > 1)
    weights = _babble_weights(draw, speech, config)
    first = _unit_level(on_rows(crowd, lambda rows, weight: weight @ speech, first, weights))
    return on_rows(
        draw.chance(config.second_noise_probability),
        lambda rows, other, level: rows + _unit_level(other) * amplitude(level)[:, None],
        first,
        second,
        draw.uniform(*config.second_noise_db),
    )


def _babble_weights(draw: Draws, speech: Tensor, config: MixingConfig) -> Tensor:
    """(B, B) factors that make babble of the batch's speech: some other items each, at different levels."""
    order = draw.uniform(0, 1, draw.rows).fill_diagonal_(2).argsort(-1).argsort(-1)
    lowest, highest = config.babble_voices
    voices = draw.uniform(lowest, highest + 1).floor().clamp(max=draw.rows - 1)
    gain = amplitude(draw.uniform(-config.babble_spread_db, 0, draw.rows))
    level = active_rms(speech, config.active_span_db, config.sample_rate)
    return gain * (order < voices[:, None]) / level.clamp(min=SILENCE)


def _unit_level(noise: Tensor) -> Tensor:
    """Noise at a root mean square of 1; silence stays silence."""
    return noise / rms(noise).clamp(min=SILENCE)[:, None]


def _place_in_room(
    draw: Draws, speech: Tensor, noise: Tensor, rir: Tensor, config: MixingConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Speech as heard, its direct sound with early reflections, and noise: each (B, N)."""
    reverberant, reverberant_noise = (
        draw.chance(config.reverb_probability),
        draw.chance(config.noise_reverb_probability),
    )
    if not rir.shape[-1]:
        return speech, speech, noise
    early, fade = config.samples(config.early_ms), config.samples(config.early_fade_ms)
    other = rir.roll(1, 0)
    both = on_rows(
        reverberant & rir.any(-1),
        lambda rows, room: reverberate(rows[:, 0], room, early, fade),
        torch.stack([speech, speech], dim=1),
        rir,
    )
    noise = on_rows(
        reverberant_noise & other.any(-1),
        lambda rows, room: reverberate(rows, room, early, fade)[:, 0],
        noise,
        other,
    )
    return both[:, 0], both[:, 1], noise


def _set_levels(
    draw: Draws, heard: Tensor, clean: Tensor, noise: Tensor, config: MixingConfig
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Speech at the level drawn, noise at the SNR drawn below it, all lowered together if their sum would overload."""
    kind = draw.uniform(0, 1)
    level, snr_db = draw.uniform(*config.level_dbfs), draw.uniform(*config.snr_db)
    speech_rms, noise_rms = active_rms(heard, config.active_span_db, config.sample_rate), rms(noise)
    silent = (speech_rms < 10 ** (config.speech_floor_dbfs / 20)) | (kind < config.noise_only_probability)
    quiet = (noise_rms < SILENCE) | (kind >= 1 - config.speech_only_probability)
    speech_gain = torch.where(silent, 0, amplitude(level) / speech_rms.clamp(min=SILENCE))
    noise_gain = torch.where(quiet, 0, amplitude(level - snr_db) / noise_rms.clamp(min=SILENCE))
    heard, clean, noise = heard * speech_gain[:, None], clean * speech_gain[:, None], noise * noise_gain[:, None]
    peak = torch.maximum((heard + noise).abs().amax(-1), clean.abs().amax(-1))
    fit = (FULL_SCALE / peak.clamp(min=FULL_SCALE))[:, None]
    snr_db = torch.where(silent, -torch.inf, torch.where(quiet, torch.inf, snr_db))
    return heard * fit, clean * fit, noise * fit, snr_db
