"""What happens to sound in the air and before a microphone's converter: colour, bands, speed, overload, vocal tracts.

Filters are smooth curves over frequency, in dB.
"""

import torch
from torch import Tensor

from gtcrn_recipes.mixing.acoustics import amplitude, fast_length

CURVE_POINTS = 513  # frequencies, 0 to half the sample rate, at which a filter curve is given
REACH = 768  # samples: what a curve's impulse response has beyond, on either side, is below -48 dB and may wrap round
LOWEST_HZ = 50.0  # colour stays flat below: what is there is not heard, and would take all the power
EQUALISER_HZ = (100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0)  # one octave apart
STOP_DB = -80.0  # attenuation beyond a band's edge
FORMANT_FRAME = 512  # samples
ENVELOPE_SAMPLES = 30  # cepstrum that makes the envelope: 1.9 ms at 16 kHz, shorter than the period of any voice
FORMANT_LIMIT = 2.3  # nepers, 20 dB: what a bin may gain or lose


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


def microphone_curve(edges_hz: Tensor, peaks_hz: Tensor, peaks_db: Tensor, hz: Tensor) -> Tensor:
    """A microphone with two resonances: edges (B, 2), where it falls by 3 dB, peaks (B, 2); (B, points).

    12 dB an octave below its lower edge, 24 above its upper one; a resonance is half an octave wide.
    """
    hz = hz.clamp(min=LOWEST_HZ)
    below, above = edges_hz[:, :1] / hz, hz / edges_hz[:, 1:]
    distance = torch.log2(hz / peaks_hz[..., None]) / 0.5
    resonances = (peaks_db[..., None] * torch.exp(-0.5 * distance.square())).sum(1)
    return resonances - 10 * torch.log10(1 + below**4) - 10 * torch.log10(1 + above**8)


def apply_curve(signal: Tensor, curve_db: Tensor) -> Tensor:
    """`signal` (B, N) through a zero-phase filter with the gains of `curve_db` (B, points)."""
    samples = signal.shape[-1]
    size = fast_length(samples + REACH)
    gains = torch.nn.functional.interpolate(
        amplitude(curve_db).unsqueeze(1), size // 2 + 1, mode="linear", align_corners=True
    )
    filtered: Tensor = torch.fft.irfft(torch.fft.rfft(signal, size).mul_(gains.squeeze(1)), size)
    return filtered[:, :samples]


def coloured_noise(white: Tensor, exponent: Tensor, sample_rate: int) -> Tensor:
    """White noise (B, N) with its power made 1 / f^exponent (0 white, 1 pink, 2 brown), flat below 50 Hz; (B, N)."""
    spectrum = torch.fft.rfft(white)
    hz = frequencies(sample_rate, white.device, spectrum.shape[-1]).clamp(min=LOWEST_HZ)
    spectrum *= (hz / 1000) ** (-exponent[:, None] / 2)
    coloured: Tensor = torch.fft.irfft(spectrum, white.shape[-1])
    return coloured


def wind(white: Tensor, gusts: Tensor, exponent: Tensor, gust_db: float, sample_rate: int) -> Tensor:
    """Turbulence at a microphone: rumble from white noise (B, N) whose level follows `gusts` (B, points), N(0, 1)."""
    samples = white.shape[-1]
    level = torch.nn.functional.interpolate(gusts[:, None], samples, mode="linear", align_corners=True)[:, 0]
    return coloured_noise(white, exponent, sample_rate) * amplitude(gust_db * level)


def shift_formants(speech: Tensor, factor: Tensor) -> Tensor:
    """`speech` (B, N) with its formants at `factor` (B,) times their frequency, as of another vocal tract; same pitch.

    The envelope of each frame's spectrum, its cepstrum below 1.9 ms, is stretched; the harmonics and phases stay.
    """
    window = torch.hann_window(FORMANT_FRAME, device=speech.device)
    short = torch.stft(
        speech, FORMANT_FRAME, FORMANT_FRAME // 4, window=window, return_complex=True, pad_mode="constant"
    )
    cepstrum = torch.fft.irfft((short.abs() + 1e-7).log(), dim=1)
    cepstrum[:, ENVELOPE_SAMPLES : 1 - ENVELOPE_SAMPLES] = 0
    envelope = torch.fft.rfft(cepstrum, dim=1).real
    change = (_stretched(envelope, factor) - envelope).clamp(-FORMANT_LIMIT, FORMANT_LIMIT)
    return torch.istft(short * change.exp(), FORMANT_FRAME, FORMANT_FRAME // 4, window=window, length=speech.shape[-1])


def _stretched(curve: Tensor, factor: Tensor) -> Tensor:
    """`curve` (B, F, T) over frequency, read at f / `factor` (B,); its last value goes on."""
    last = curve.shape[1] - 1
    place = (torch.arange(last + 1, device=curve.device) / factor[:, None]).clamp(max=last)
    low = place.floor().clamp(max=last - 1)
    part, low = (place - low)[..., None], low.long()[..., None].expand(-1, -1, curve.shape[-1])
    return torch.lerp(curve.gather(1, low), curve.gather(1, low + 1), part.to(curve))


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
    spectrum *= 2 * (frequencies(2, signal.device, spectrum.shape[-1]) * speed[:, None] < 1)
    fine = torch.fft.irfft(spectrum, 2 * samples)
    turns = speed[:, None].double() / samples * torch.arange(samples, device=signal.device, dtype=torch.float64)
    place = turns.frac_().mul_(2 * samples)  # single precision has no room for the fraction behind 65536 samples
    return _cubic(fine, place.long(), place.frac_().to(signal))


def _cubic(signal: Tensor, before: Tensor, fraction: Tensor) -> Tensor:
    """Catmull-Rom interpolation between samples `before` and the next, (B, N) each; behind the last comes the first."""
    around = torch.cat((signal[:, -1:], signal, signal[:, :2]), dim=1)
    a, b, c, d = (around[:, step:].gather(-1, before) for step in range(4))
    slope = c - a
    twist = d.sub_(a).add_(b, alpha=3).sub_(c, alpha=3)
    curve = a.add_(c).sub_(b, alpha=2).sub_(twist)
    return b.addcmul_(slope.addcmul_(curve.addcmul_(twist, fraction), fraction), fraction, value=0.5)
