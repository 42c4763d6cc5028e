"""Noisy speech and its target, mixed while training: pure functions of audio, a generator and a configuration.

speech -> speed, formants -> colour, band -> room -> heard speech -- x level -------- + -> overload, codec -> noisy
                                                 `-> early part ---- x level ---------|--------------------> clean
noise, talker -> speed ----> colour, band -> room ------------------ x level - SNR ---'

Bands, microphones and steps of the gain are for both sides: a denoiser cannot undo them. Overload, codecs and lost
packets spoil the input alone. An effect of probability 0 draws nothing, so that a recipe mixes what it always mixed.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gtcrn_recipes.mixing.acoustics import active_rms, amplitude, reverberate, rms
from gtcrn_recipes.mixing.channel import gain_step, transmitted
from gtcrn_recipes.mixing.draws import Draws, on_rows
from gtcrn_recipes.mixing.effects import (
    EQUALISER_HZ,
    apply_curve,
    band_curve,
    change_speed,
    clip,
    equaliser_curve,
    frequencies,
    microphone_curve,
    shift_formants,
    tilt_curve,
)
from gtcrn_recipes.mixing.noises import SILENCE, mixed_noise
from gtcrn_recipes.settings import MixingConfig

TELEPHONE_HZ = (300.0, 3400.0)
FULL_SCALE = 0.99  # peak that a mixture may reach
MICROPHONE_EDGES_HZ = ((30.0, 250.0), (5500.0, 12_000.0))  # where it begins and ends to hear
MICROPHONE_PEAKS_HZ = (1000.0, 7000.0)
STEP_PLACES = (0.1, 0.9)  # of an item: where its gain may change


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
    noise = mixed_noise(draw, speech, noise, config)
    speech = _throat(draw, speech, config)
    speech = on_rows(speech_curve.any(-1), apply_curve, speech, speech_curve)
    noise = on_rows(noise_curve.any(-1), apply_curve, noise, noise_curve)
    heard, clean, noise = _place_in_room(draw, speech, noise, rir, config)
    heard, clean, noise = _gain_step(draw, heard, clean, noise, config)
    heard, clean, noise, snr_db = _set_levels(draw, heard, clean, noise, config)
    noisy = on_rows(draw.chance(config.clipping_probability), clip, heard + noise, draw.uniform(*config.clipping_db))
    return Mixture(transmitted(draw, noisy, config), clean, heard, snr_db)


def _speed(draw: Draws, speech: Tensor, noise: Tensor, config: MixingConfig) -> tuple[Tensor, Tensor]:
    """Some speech and some noises slower or faster."""
    chosen = draw.chance(config.speech_speed_probability)
    speech = on_rows(chosen, change_speed, speech, draw.uniform(*config.speed))
    chosen = draw.uniform(0, 1, 2) < config.noise_speed_probability
    noises = on_rows(chosen.flatten(), change_speed, noise.flatten(0, 1), draw.uniform(*config.speed, 2).flatten())
    return speech, noises.view_as(noise)


def _throat(draw: Draws, speech: Tensor, config: MixingConfig) -> Tensor:
    """Some speech from a longer or shorter vocal tract."""
    if not config.formant_probability:
        return speech
    return on_rows(draw.chance(config.formant_probability), shift_formants, speech, draw.uniform(*config.formant))


def _curves(draw: Draws, config: MixingConfig) -> tuple[Tensor, Tensor]:
    """Filters of speech and noise in dB, (B, points): a colour for each, and the band limits that they share."""
    hz = frequencies(config.sample_rate, draw.generator.device)
    band = _band(draw, hz, config) + _microphone(draw, hz, config)
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


def _microphone(draw: Draws, hz: Tensor, config: MixingConfig) -> Tensor | float:
    if not config.microphone_probability:
        return 0.0
    edges = torch.stack([draw.uniform(*edge) for edge in MICROPHONE_EDGES_HZ], dim=1)
    peaks_hz, peaks_db = draw.uniform(*MICROPHONE_PEAKS_HZ, 2), draw.uniform(*config.microphone_db, 2)
    chosen = draw.chance(config.microphone_probability)
    return microphone_curve(edges, peaks_hz, peaks_db, hz) * chosen[:, None]


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


def _gain_step(
    draw: Draws, heard: Tensor, clean: Tensor, noise: Tensor, config: MixingConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Some items with another gain from some place on."""
    if not config.gain_step_probability:
        return heard, clean, noise
    place, step_db = draw.uniform(*STEP_PLACES), draw.uniform(*config.gain_step_db)
    parts = torch.stack([heard, clean, noise], dim=1)
    parts = on_rows(draw.chance(config.gain_step_probability), gain_step, parts, place, step_db)
    heard, clean, noise = parts.unbind(1)
    return heard, clean, noise


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
