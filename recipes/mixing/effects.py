"""What happens to sound on its way: colour, band limits, overload. Filters are smooth curves over frequency, in dB."""

import torch
from torch import Tensor

from gtcrn_recipes.mixing.acoustics import amplitude, fast_length

CURVE_POINTS = 513  # frequencies, 0 to half the sample rate, at which a filter curve is given
LOWEST_HZ = 50.0  # colour stays flat below: what is there is not heard, and would take all the power
EQUALISER_HZ = (100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0)  # one octave apart
STOP_DB = -80.0  # attenuation beyond a band's edge


def frequencies(sample_rate: int, device: torch.device, points: int = CURVE_POINTS) -> Tensor:
    """Of a curve's points, in Hz: (points,)."""
    return torch.linspace(0, sample_rate / 2, points, device=device)


def tilt_curve(slope_db: Tensor, hz: Tensor) -> Tensor:
    """`slope_db` (B,) dB per octave, 0 dB at 1 kHz: (B, points)."""
    return slope_db[:, None] * torch.log2(hz.clamp(min=LOWEST_HZ) / 1000)


def equaliser_curve(gains_db: Tensor, hz: Tensor) -> Tensor:
    """Gains (B, 7) in dB at the octaves EQUALISER_HZ, joined by squared cosines (which add up to 1): (B, points)."""
    centres = torch.tensor(EQUALISER_HZ, device=hz.device)
    octaves = torch.log2(hz.clamp(centres[0], centres[-1]) / centres[:, None])
    return gains_db @ torch.cos(torch.pi / 2 * octaves.clamp(-1, 1)).square()


def band_curve(low_hz: Tensor, high_hz: Tensor, hz: Tensor) -> Tensor:
    """0 dB between two edges (B,), falling to -80 dB an octave below and a tenth above them: (B, points)."""
    below = (2 - 2 * hz / low_hz.clamp(min=1)[:, None]).clamp(0, 1)
    above = (10 * hz / high_hz[:, None] - 10).clamp(0, 1)
    return STOP_DB * torch.where(low_hz[:, None] > 0, torch.maximum(below, above), above)


def apply_curve(signal: Tensor, curve_db: Tensor) -> Tensor:
    """`signal` (B, N) through a zero-phase filter with the gains of `curve_db` (B, points); nothing wraps round."""
    samples, reach = signal.shape[-1], 2 * curve_db.shape[-1]
    size = fast_length(samples + reach)
    gains = torch.nn.functional.interpolate(
        amplitude(curve_db).unsqueeze(1), size // 2 + 1, mode="linear", align_corners=True
    )
    filtered: Tensor = torch.fft.irfft(torch.fft.rfft(signal, size) * gains.squeeze(1), size)
    return filtered[:, :samples]


def coloured_noise(white: Tensor, exponent: Tensor, sample_rate: int) -> Tensor:
    """White noise (B, N) with its power made 1 / f^exponent (0 white, 1 pink, 2 brown), flat below 50 Hz; (B, N)."""
    spectrum = torch.fft.rfft(white)
    hz = frequencies(sample_rate, white.device, spectrum.shape[-1]).clamp(min=LOWEST_HZ)
    coloured: Tensor = torch.fft.irfft(spectrum * (hz / 1000) ** (-exponent[:, None] / 2), white.shape[-1])
    return coloured


def clip(signal: Tensor, depth_db: Tensor) -> Tensor:
    """`signal` (B, N) limited to `depth_db` (B,) below the peak of its row."""
    limit = (signal.abs().amax(-1) * amplitude(-depth_db))[:, None]
    return signal.clamp(-limit, limit)


def change_speed(signal: Tensor, speed: Tensor) -> Tensor:
    """`signal` (B, N) played `speed` (B,) times as fast, its pitch with it; a row that ends early starts again.

    Resampled by an FFT to twice the rate, below the new half rate, and read there by cubic interpolation.
    """
    samples = signal.shape[-1]
    spectrum = torch.fft.rfft(signal)
    kept = frequencies(2, signal.device, spectrum.shape[-1]) * speed[:, None] < 1
    fine = 2 * torch.fft.irfft(spectrum * kept, 2 * samples)
    place = 2 * speed[:, None] * torch.arange(samples, device=signal.device, dtype=torch.float64)
    before = place.floor()  # in double precision: single has no room for the fraction behind 65536 samples
    return _cubic(fine, before.long(), (place - before).to(signal))


def _cubic(signal: Tensor, before: Tensor, fraction: Tensor) -> Tensor:
    """Catmull-Rom interpolation between samples `before` and the next, (B, N) each; indices wrap round."""
    a, b, c, d = (signal.gather(-1, (before + step) % signal.shape[-1]) for step in (-1, 0, 1, 2))
    slope, curve, twist = c - a, 2 * a - 5 * b + 4 * c - d, 3 * (b - c) + d - a
    return b + 0.5 * fraction * (slope + fraction * (curve + fraction * twist))
