"""The noise of an item: recorded, coloured, wind or babble, perhaps with a second one and somebody who talks nearby."""

import torch
from torch import Tensor

from gtcrn_recipes.mixing.acoustics import active_rms, amplitude, rms
from gtcrn_recipes.mixing.draws import Draws, on_rows
from gtcrn_recipes.mixing.effects import change_speed, coloured_noise, wind
from gtcrn_recipes.settings import MixingConfig

SILENCE = 1e-6  # -120 dBFS, below one step of 16-bit audio: nothing there
GUSTS_PER_SECOND = 4


def mix_noise(draw: Draws, sound: Tensor, speed: Tensor, kind: Tensor | None, config: MixingConfig) -> None:
    """Brings `sound` (3, B, N), speech and two recorded noises, to its `speed` (3, B) and makes one noise, in place.

    sound[1] becomes the noise of each item, at a level of 1 before its filters: recorded, coloured or babble, perhaps
    two at once. sound[2] is of no use any more. `kind` (B,), needed where there are talkers, is what later decides
    which items have no speech.
    """
    speech, noise, second = sound.unbind()
    made = _coloured(draw, noise, config) | _windy(draw, noise, config)
    crowd = draw.chance(config.babble_probability) & (len(speech) > 1)
    voices = _babble_gains(draw, config)
    joined, second_db = draw.chance(config.second_noise_probability), draw.uniform(*config.second_noise_db)
    used = torch.stack([torch.ones_like(made), ~(made | crowd), joined])
    on_rows((used & (speed != 1)).flatten(), change_speed, sound.flatten(0, 1), speed.flatten())
    on_rows(crowd, lambda rows, gains: _babble(speech, gains, config), noise, voices)
    noise /= _level(noise)
    on_rows(
        joined,
        lambda rows, other, gain: torch.addcmul(rows, other, gain[:, None] / _level(other)),
        noise,
        second,
        amplitude(second_db),
    )
    if kind is not None:
        _add_talker(draw, noise, speech, kind >= config.noise_only_probability, config)


def _coloured(draw: Draws, noise: Tensor, config: MixingConfig) -> Tensor:
    """Makes some of the noise coloured: which, (B,)."""
    chosen = draw.chance(config.coloured_probability)
    on_rows(
        chosen,
        lambda rows, exponent: coloured_noise(draw.normal(*rows.shape), exponent, config.sample_rate),
        noise,
        draw.uniform(*config.coloured_exponent),
    )
    return chosen


def _windy(draw: Draws, noise: Tensor, config: MixingConfig) -> Tensor:
    """Makes some of the noise wind: which, (B,)."""
    if not config.wind_probability:
        return torch.zeros(len(noise), dtype=torch.bool, device=noise.device)
    points = 2 + GUSTS_PER_SECOND * noise.shape[-1] // config.sample_rate
    chosen = draw.chance(config.wind_probability)
    on_rows(
        chosen,
        lambda rows, exponent: wind(
            draw.normal(*rows.shape), draw.normal(len(rows), points), exponent, config.wind_gust_db, config.sample_rate
        ),
        noise,
        draw.uniform(*config.wind_exponent),
    )
    return chosen


def _add_talker(draw: Draws, noise: Tensor, speech: Tensor, kept: Tensor, config: MixingConfig) -> None:
    """The voice of the item before in some of the noise, relative to all of it.

    Speech too quiet to be any is left out. So is a talker where the item's own speech is not `kept` (B,) or too quiet,
    because there the only voice would be taught as noise.
    """
    if len(speech) < 2:
        return
    level = active_rms(speech, config.active_span_db, config.sample_rate)
    spoken = level >= _floor(config)
    own = rms(noise)
    own = torch.where(own < SILENCE, 1, own)  # a talker is all there is beside silence
    on_rows(
        draw.chance(config.talker_probability) & spoken & spoken.roll(1) & kept,
        lambda rows, voice, gain: torch.addcmul(rows, voice, gain[:, None]),
        noise,
        speech.roll(1, 0),
        amplitude(draw.uniform(*config.talker_db)) * own / level.roll(1).clamp(min=SILENCE),
    )


def _babble_gains(draw: Draws, config: MixingConfig) -> Tensor:
    """Levels (B, B) of each item's voices in the babble of each: some others, 0 for the rest."""
    order = draw.uniform(0, 1, draw.rows).fill_diagonal_(2).argsort(-1).argsort(-1)
    lowest, highest = config.babble_voices
    voices = draw.uniform(lowest, highest + 1).floor().clamp(max=draw.rows - 1)
    gain = amplitude(draw.uniform(-config.babble_spread_db, 0, draw.rows))
    return gain * (order < voices[:, None])


def _babble(speech: Tensor, gains: Tensor, config: MixingConfig) -> Tensor:
    """The voices (B, N) of a batch together, each at its active level in `gains` (R, B): (R, N).

    What is too quiet to be speech is none.
    """
    level = active_rms(speech, config.active_span_db, config.sample_rate)
    return gains * (level >= _floor(config)) / level.clamp(min=SILENCE) @ speech


def _floor(config: MixingConfig) -> float:
    """Active level, an amplitude, below which speech is taken for silence."""
    return float(10 ** (config.speech_floor_dbfs / 20))


def _level(noise: Tensor) -> Tensor:
    """Root mean square of each row, (B, 1), that can be divided by: silence stays silence."""
    return rms(noise).clamp(min=SILENCE)[:, None]
