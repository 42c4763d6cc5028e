"""Levels and rooms: root mean squares, the active level of speech, reverberation with an early-reflections target."""

from functools import lru_cache

import torch
from torch import Tensor

ODD_BITS = 10  # of an FFT's length that need not be a power of two
FRAME_MS = 32.0  # length of the frames in which the activity of speech is judged


def amplitude(decibels: Tensor) -> Tensor:
    """Factor of a level difference: 20 dB is 10."""
    return torch.pow(10.0, decibels / 20)


def rms(signal: Tensor) -> Tensor:
    """Root mean square of each row: (..., N) -> (...)."""
    return _energy(signal).div(signal.shape[-1]).sqrt()


def _energy(signal: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(signal, dim=-1)  # one pass, without a copy of squares
    return norm.square()


def active_rms(speech: Tensor, span_db: float, sample_rate: int) -> Tensor:
    """Level of the frames in which somebody speaks: (..., N) -> (...), an amplitude (1 is 0 dBFS).

    A frame of 32 ms is active when its power lies within `span_db` of the loudest frame's, so pauses do not lower the
    level, and the measure follows the scale of the signal exactly. Samples after the last whole frame do not count.
    A silent row measures 0.
    """
    frame = min(round(FRAME_MS * sample_rate / 1000), speech.shape[-1])
    power = _energy(speech.unfold(-1, frame, frame)) / frame
    active = power >= power.amax(-1, keepdim=True) * 10 ** (-span_db / 10)
    return ((power * active).sum(-1) / active.sum(-1)).sqrt()


@lru_cache
def fast_length(samples: int) -> int:
    """The smallest length from `samples` on that an FFT is quick at: a power of two, times up to 10 bits of 3^a 5^b."""
    unit = 1 << max(0, (samples - 1).bit_length() - ODD_BITS)
    length = -(-samples // unit)
    while 30 ** length.bit_length() % length:  # a prime factor above 5
        length += 1
    return unit * length


def reverberate(speech: Tensor, rir: Tensor, early: Tensor, early_samples: int, fade_samples: int) -> Tensor:
    """Speech as heard in a room, or in the rows that `early` (B,) marks the part to aim at: (B, N), (B, L) -> (B, N).

    That part is the direct sound with the reflections of the next `early_samples`, which then fade out over
    `fade_samples` as half a cosine. All is aligned with, and scaled to, the direct sound (the largest sample of the
    response), so a response of one impulse, wherever and however large, returns the speech unchanged. A silent response
    counts as such an impulse.
    """
    samples, length = speech.shape[-1], rir.shape[-1]
    size = fast_length(length + max(samples, length))  # what comes before the direct sound has its place at the end
    both = speech.new_zeros(2, len(speech), size)  # one transform of many rows costs less than two of fewer
    _lay_from_direct_sound(rir, both[0])
    both[1, :, :samples] = speech
    progress = (torch.arange(length, device=rir.device) - early_samples) / max(1, fade_samples)
    kept = 0.5 + 0.5 * torch.cos(torch.pi * progress.clamp(0, 1))
    both[0, :, :length] *= torch.where(early[:, None], kept, 1.0)
    response, spectrum = torch.fft.rfft(both)
    heard: Tensor = torch.fft.irfft(spectrum.mul_(response), size)
    return heard[:, :samples]


def _lay_from_direct_sound(rir: Tensor, into: Tensor) -> None:
    """Responses (B, L) into zeros (B, size): their largest sample is 1 and at index 0, what comes before at the end."""
    direct = rir.abs().argmax(-1, keepdim=True)
    peak = rir.gather(-1, direct)
    place = torch.arange(rir.shape[-1], device=rir.device) - direct
    scaled = rir / torch.where(peak == 0, 1, peak)
    into.scatter_(-1, torch.where(place < 0, place + into.shape[-1], place), scaled)
    into[:, 0] = 1.0
