"""The noise of an item: recorded, coloured, wind or babble, perhaps with a second one and somebody who talks nearby."""

from torch import Tensor

from gtcrn_recipes.mixing.acoustics import active_rms, amplitude, rms
from gtcrn_recipes.mixing.draws import Draws, on_rows
from gtcrn_recipes.mixing.effects import coloured_noise, wind
from gtcrn_recipes.settings import MixingConfig

SILENCE = 1e-6  # -120 dBFS, below one step of 16-bit audio: nothing there
GUSTS_PER_SECOND = 4


def mixed_noise(draw: Draws, speech: Tensor, recorded: Tensor, config: MixingConfig) -> Tensor:
    """The noise of each item at a level of 1 before its filters: recorded, coloured or babble, perhaps two at once."""
    first, second = recorded[:, 0], recorded[:, 1]
    first = on_rows(
        draw.chance(config.coloured_probability),
        lambda rows, exponent: coloured_noise(draw.normal(*rows.shape), exponent, config.sample_rate),
        first,
        draw.uniform(*config.coloured_exponent),
    )
    first = _windy(draw, first, config)
    crowd = draw.chance(config.babble_probability) & (len(speech) > 1)
    weights = _babble_weights(draw, speech, config)
    first = _unit_level(on_rows(crowd, lambda rows, weight: weight @ speech, first, weights))
    both = on_rows(
        draw.chance(config.second_noise_probability),
        lambda rows, other, level: rows + _unit_level(other) * amplitude(level)[:, None],
        first,
        second,
        draw.uniform(*config.second_noise_db),
    )
    return _talker(draw, both, speech, config)


def _windy(draw: Draws, noise: Tensor, config: MixingConfig) -> Tensor:
    """Some of the noise is wind."""
    if not config.wind_probability:
        return noise
    points = 2 + GUSTS_PER_SECOND * noise.shape[-1] // config.sample_rate
    return on_rows(
        draw.chance(config.wind_probability),
        lambda rows, exponent: wind(
            draw.normal(*rows.shape), draw.normal(len(rows), points), exponent, config.wind_gust_db, config.sample_rate
        ),
        noise,
        draw.uniform(*config.wind_exponent),
    )


def _talker(draw: Draws, noise: Tensor, speech: Tensor, config: MixingConfig) -> Tensor:
    """The voice of the next item in some of the noise; speech too quiet to be any is left out."""
    if not config.talker_probability or len(speech) < 2:
        return noise
    voice = speech.roll(1, 0)
    level = active_rms(voice, config.active_span_db, config.sample_rate)
    there = level >= 10 ** (config.speech_floor_dbfs / 20)
    return on_rows(
        draw.chance(config.talker_probability) & there,
        lambda rows, voice, gain: rows + voice * gain[:, None],
        noise,
        voice,
        amplitude(draw.uniform(*config.talker_db)) / level.clamp(min=SILENCE),
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
