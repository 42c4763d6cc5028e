"""Levels and rooms: root mean squares, the active level of speech, reverberation with an early-reflections target."""

import torch
from torch import Tensor

FRAME_MS = 32.0  # length of the frames in which the activity of speech is judged


def amplitude(decibels: Tensor) -> Tensor:
    """Factor of a level difference: 20 dB is 10."""
    return torch.pow(10.0, decibels / 20)


def rms(signal: Tensor) -> Tensor:
    """Root mean square of each row: (..., N) -> (...)."""
    return signal.square().mean(-1).sqrt()


def active_rms(speech: Tensor, span_db: float, sample_rate: int) -> Tensor:
    """Level of the frames in which somebody speaks: (..., N) -> (...), an amplitude (1 is 0 dBFS).

    A frame of 32 ms is active when its power lies within `span_db` of the loudest frame's, so pauses do not lower the
    level, and the measure follows the scale of the signal exactly. Samples after the last whole frame do not count.
    A silent row measures 0.
    """
    frame = min(round(FRAME_MS * sample_rate / 1000), speech.shape[-1])
    power = speech.unfold(-1, frame, frame).square().mean(-1)
    active = power >= power.amax(-1, keepdim=True) * 10 ** (-span_db / 10)
    return ((power * active).sum(-1) / active.sum(-1)).sqrt()


def fast_length(samples: int) -> int:
    """The smallest length from `samples` on that an FFT is quick at: 8, 9, 10, 12, 15 or 16 times a power of two."""
    unit = 1 << max(0, (samples - 1).bit_length() - 4)
    return next(unit * factor for factor in (8, 9, 10, 12, 15, 16) if unit * factor >= samples)


def reverberate(speech: Tensor, rir: Tensor, early_samples: int, fade_samples: int) -> Tensor:
    """Speech as heard in a room, and the part of it to aim at: (B, N), (B, L) -> (B, 2, N).

    [:, 0] is the whole response, [:, 1] the direct sound with the reflections of the next `early_samples`, which then
    fade out over `fade_samples` as half a cosine. Both are aligned with, and scaled to, the direct sound (the largest
    sample of the response), so a response of one impulse, wherever and however large, returns the speech unchanged.
    A silent response counts as such an impulse.
    """
    samples = speech.shape[-1]
    size = fast_length(samples + rir.shape[-1])
    rir, direct = _scaled_to_direct_sound(rir)
    responses = torch.stack([rir, _early_part(rir, direct, early_samples, fade_samples)], dim=1)
    spectrum = torch.fft.rfft(speech, size).unsqueeze(1) * torch.fft.rfft(responses, size)
    aligned = direct.unsqueeze(1) + torch.arange(samples, device=speech.device)
    both: Tensor = torch.fft.irfft(spectrum, size)
    return both.gather(-1, aligned.expand(-1, 2, -1))


def _scaled_to_direct_sound(rir: Tensor) -> tuple[Tensor, Tensor]:
    """Responses whose largest sample is 1, and where that is: (B, L), (B, 1)."""
    direct = rir.abs().argmax(-1, keepdim=True)
    peak = rir.gather(-1, direct)
    scaled = rir / torch.where(peak == 0, 1, peak)
    return scaled.scatter(-1, direct, 1.0), direct


def _early_part(rir: Tensor, direct: Tensor, early_samples: int, fade_samples: int) -> Tensor:
    """The response until `early_samples` after its direct sound, faded out after that."""
    lag = torch.arange(rir.shape[-1], device=rir.device) - direct
    progress = ((lag - early_samples) / max(1, fade_samples)).clamp(0, 1)
    return rir * (0.5 + 0.5 * torch.cos(torch.pi * progress))
