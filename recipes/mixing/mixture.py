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
    clip,
    equaliser_curve,
    frequencies,
    microphone_curve,
    shift_formants,
    tilt_curve,
)
from gtcrn_recipes.mixing.noises import SILENCE, mix_noise
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
    sound = torch.cat([speech[None], noise.transpose(0, 1)])  # (3, B, N): all that follows happens in this memory
    speed = _speeds(draw, config)
    curves = _curves(draw, config)
    kind = draw.uniform(0, 1) if config.talker_probability else None  # a talker asks who is to be heard beside him
    mix_noise(draw, sound, speed, kind, config)
    _throat(draw, sound[0], config)
    on_rows(curves.any(-1).flatten(), apply_curve, sound[:2].flatten(0, 1), curves.flatten(0, 1))
    sound[2] = sound[0]  # from here on: speech as heard, noise, the part of the speech to aim at
    _place_in_room(draw, sound, rir, config)
    _gain_step(draw, sound, config)
    snr_db = _set_levels(draw, sound, kind, config)
    heard, noisy, clean = sound.unbind()
    on_rows(draw.chance(config.clipping_probability), clip, noisy, draw.uniform(*config.clipping_db))
    return Mixture(transmitted(draw, noisy, config), clean, heard, snr_db)


def _speeds(draw: Draws, config: MixingConfig) -> Tensor:
    """Of speech and both noises, (3, B): some are slower or faster."""
    chosen = draw.chance(config.speech_speed_probability)
    speech = torch.where(chosen, draw.uniform(*config.speed), 1.0)
    chosen = draw.uniform(0, 1, 2) < config.noise_speed_probability
    noises = torch.where(chosen, draw.uniform(*config.speed, 2), 1.0)
    return torch.cat([speech[None], noises.T])


def _throat(draw: Draws, speech: Tensor, config: MixingConfig) -> None:
    """Some speech from a longer or shorter vocal tract."""
    if config.formant_probability:
        on_rows(draw.chance(config.formant_probability), shift_formants, speech, draw.uniform(*config.formant))


def _curves(draw: Draws, config: MixingConfig) -> Tensor:
    """Filters of speech and noise in dB, (2, B, points): a colour for each, and the band limits that they share."""
    hz = frequencies(config.sample_rate, draw.generator.device)
    band = _band(draw, hz, config) + _microphone(draw, hz, config)
    colours = [
        _colour(draw, probability, hz, config)
        for probability in (config.speech_colour_probability, config.noise_colour_probability)
    ]
    return torch.stack(colours) + band


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


def _place_in_room(draw: Draws, sound: Tensor, rir: Tensor, config: MixingConfig) -> None:
    """Some speech as heard in its room, with its direct sound and early reflections; some noise in another room."""
    speech, noise = draw.chance(config.reverb_probability), draw.chance(config.noise_reverb_probability)
    if not rir.shape[-1]:
        return
    early_samples, fade_samples = config.samples(config.early_ms), config.samples(config.early_fade_ms)
    own = torch.arange(len(rir), device=rir.device)
    room = torch.stack([own, own.roll(1), own])
    chosen = torch.stack([speech, noise, speech]) & (rir.abs().amax(-1) > 0)[room]
    on_rows(
        chosen.flatten(),
        lambda rows, room, early: reverberate(rows, rir[room], early, early_samples, fade_samples),
        sound.flatten(0, 1),
        room.flatten(),
        torch.tensor([False, False, True], device=rir.device).repeat_interleave(len(rir)),
    )


def _gain_step(draw: Draws, sound: Tensor, config: MixingConfig) -> None:
    """Some items with another gain from some place on."""
    if config.gain_step_probability:
        place, step_db = draw.uniform(*STEP_PLACES), draw.uniform(*config.gain_step_db)
        chosen = draw.chance(config.gain_step_probability)
        chosen, place, step_db = (drawn.repeat(len(sound)) for drawn in (chosen, place, step_db))
        on_rows(chosen, gain_step, sound.flatten(0, 1), place, step_db)


def _set_levels(draw: Draws, sound: Tensor, kind: Tensor | None, config: MixingConfig) -> Tensor:
    """Speech at the level drawn, noise, to which it is added, at the SNR (B,) drawn; all lower if it would overload.

    `kind` (B,), drawn here unless it was needed before, decides which items lack speech or noise.
    """
    heard, noise, _ = sound.unbind()
    kind = draw.uniform(0, 1) if kind is None else kind
    level, snr_db = draw.uniform(*config.level_dbfs), draw.uniform(*config.snr_db)
    speech_rms, noise_rms = active_rms(heard, config.active_span_db, config.sample_rate), rms(noise)
    silent = (speech_rms < 10 ** (config.speech_floor_dbfs / 20)) | (kind < config.noise_only_probability)
    quiet = (noise_rms < SILENCE) | (kind >= 1 - config.speech_only_probability)
    speech_gain = torch.where(silent, 0, amplitude(level) / speech_rms.clamp(min=SILENCE))
    noise_gain = torch.where(quiet, 0, amplitude(level - snr_db) / noise_rms.clamp(min=SILENCE))
    sound *= torch.stack([speech_gain, noise_gain, speech_gain])[..., None]
    noise += heard
    peak = sound[1:].abs().amax(-1).amax(0)
    sound *= (FULL_SCALE / peak.clamp(min=FULL_SCALE))[:, None]
    return torch.where(silent, -torch.inf, torch.where(quiet, torch.inf, snr_db))
