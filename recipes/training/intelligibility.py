"""Extended short-time objective intelligibility (ESTOI; Jensen and Taal, IEEE/ACM TASLP 2016), differentiable.

The correlation of the spectrograms of output and target in segments of 384 ms, after each band and then each frame has
been freed of mean and scale. Beside the measure's own definition: the frames are cut at the audio's rate instead of
10 kHz, silent ones leave the spectrogram instead of the waveform, and every third segment stands for its neighbours.
"""

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

WINDOW_SECONDS = 0.0256
BANDS = 15  # a third of an octave each
LOWEST_HZ = 150.0  # centre of the first
SEGMENT = 30  # frames
STEP = 3  # frames from segment to segment
SPAN_DB = 40.0  # frames further below the loudest are silent
FLOOR = 1e-6  # of the target's mean power: keeps gradients finite where a band of the output is empty


def estoi(enhanced: Tensor, clean: Tensor, sample_rate: int) -> tuple[Tensor, Tensor]:
    """ESTOI of each row, -1 to 1, and whether it has one: (B, N), (B, N) -> (B,), (B,).

    Rows with less than a segment of speech, such as silent ones, have none; their value is 0.
    """
    target, output = third_octaves(clean, sample_rate), third_octaves(enhanced, sample_rate)
    power = target.sum(-1)
    if power.shape[1] < SEGMENT:
        return 0 * enhanced.sum(-1), torch.zeros_like(enhanced[:, 0], dtype=torch.bool)
    starts = torch.arange(0, power.shape[1] - SEGMENT + 1, STEP, device=clean.device)
    speaks = power > power.amax(-1, keepdim=True) * 10 ** (-SPAN_DB / 10)
    counts = starts <= speaks.sum(-1, keepdim=True) - SEGMENT
    order = speaks.logical_not().byte().argsort(dim=-1, stable=True)[..., None].expand_as(target)
    floor = FLOOR * target.mean((1, 2), keepdim=True) + torch.finfo(torch.float32).tiny
    a, b = (_normalised((bands.gather(1, order) + floor).sqrt(), floor[..., None]) for bands in (target, output))
    correlation = torch.where(counts, (a * b).sum((-2, -1)) / SEGMENT, 0)
    return correlation.sum(-1) / counts.sum(-1).clamp(min=1), counts.any(-1)


def third_octaves(audio: Tensor, sample_rate: int) -> Tensor:
    """Power in the bands of each frame: (B, N) -> (B, T, 15)."""
    hop, window, bank = analysis(sample_rate)
    window, bank = window.to(audio), bank.to(audio)
    if audio.shape[-1] < len(window):
        return audio.new_zeros(len(audio), 0, BANDS)
    bins = torch.stft(audio, len(window), hop, window=window, center=False, return_complex=True)
    return torch.view_as_real(bins).square().sum(-1).mT @ bank


class Analysis(NamedTuple):
    """How the bands are found."""

    hop: int  # samples
    window: Tensor  # (n_fft,), zeros at both ends
    bank: Tensor  # (bins, 15), which part of a bin's power each band gathers


@cache
def analysis(sample_rate: int) -> Analysis:
    """Half-overlapping Hann windows of 25.6 ms; bands share the bins at their edges."""
    length = round(WINDOW_SECONDS * sample_rate)
    n_fft = 1 << (length - 1).bit_length()
    edges = LOWEST_HZ * 2 ** ((torch.arange(BANDS + 1) - 0.5) / 3) * n_fft / sample_rate
    bins = torch.arange(n_fft // 2 + 1)[:, None]
    bank = (torch.minimum(bins + 0.5, edges[1:]) - torch.maximum(bins - 0.5, edges[:-1])).clamp(min=0)
    before = (n_fft - length) // 2
    window = torch.nn.functional.pad(torch.hann_window(length), (before, n_fft - length - before))
    return Analysis(length // 2, window, bank)


def _normalised(bands: Tensor, floor: Tensor) -> Tensor:
    """Segments with bands, then frames, of mean 0 and norm 1: (B, T, 15) -> (B, segments, 15, 30).

    Bands that vary less than by `floor`, a power (B, 1, 1, 1), count less.
    """
    segments = bands.unfold(1, SEGMENT, STEP)
    for axis, least in ((-1, SEGMENT * floor), (-2, torch.finfo(torch.float32).tiny)):
        segments = segments - segments.mean(axis, keepdim=True)
        segments = segments / (segments.square().sum(axis, keepdim=True) + least).sqrt()
    return segments
