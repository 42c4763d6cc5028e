"""The parts of the composite measures: LLR, WSS and segmental SNR (Hu & Loizou, IEEE TASLP 16(1), 2008).

Frames of 30 ms, a quarter apart, under a Hann window; LLR and WSS are means over the best 95 % of the frames, as in the
authors' published program, which this follows where it and the text differ. Signals are float64 (n,) at 16 kHz.
"""

import numpy as np
import numpy.typing as npt

from gtcrn.config import SAMPLE_RATE

Array = npt.NDArray[np.float64]

FRAME = 480  # samples, 30 ms
SKIP = FRAME // 4
LPC_ORDER = 16  # of signals above 10 kHz
BEST_SHARE = 0.95
N_FFT = 1024  # the power of two from twice the frame
EPS = float(np.finfo(np.float64).eps)
TINY = 1e-300  # energy that stands for none

# Critical bands of WSS in Hz (Klatt 1982, as tabled in the authors' program).
CENTRES = (
    *(50.0, 120.0, 190.0, 260.0, 330.0, 400.0, 470.0, 540.0, 617.372, 703.378, 798.717, 904.128, 1020.38),
    *(1148.30, 1288.72, 1442.54, 1610.70, 1794.16, 1993.93, 2211.08, 2446.71, 2701.97, 2978.04, 3276.17, 3597.63),
)
WIDTHS = (
    *(70.0, 70.0, 70.0, 70.0, 70.0, 70.0, 70.0, 77.3724, 86.0056, 95.3398, 105.411, 116.256, 127.914, 140.423),
    *(153.823, 168.154, 183.457, 199.776, 217.153, 235.631, 255.255, 276.072, 298.126, 321.465, 346.136),
)


def regression(pesq: float, llr: float, wss: float, segmental_snr: float) -> tuple[float, float, float]:
    """CSIG, CBAK and COVL, limited to 1..5: the paper's regressions, here with wide-band PESQ as the field does."""
    csig = 3.093 - 1.029 * llr + 0.603 * pesq - 0.009 * wss
    cbak = 1.634 + 0.478 * pesq - 0.007 * wss + 0.063 * segmental_snr
    covl = 1.594 + 0.805 * pesq - 0.512 * llr - 0.007 * wss
    return limit(csig), limit(cbak), limit(covl)


def limit(score: float) -> float:
    return float(min(5.0, max(1.0, score)))


def llr(clean: Array, enhanced: Array) -> float:
    """Log-likelihood ratio of the linear predictors, log(a_e R_c a_e' / a_c R_c a_c'); 0 for equal envelopes.

    A frame of digital silence in the clean file has no envelope and counts 0.
    """
    r = autocorrelation(frames(clean))
    a_clean, a_enhanced = predictor(r), predictor(autocorrelation(frames(enhanced)))
    return best_mean(np.log(np.maximum(residual(a_enhanced, r), TINY) / np.maximum(residual(a_clean, r), TINY)))


def wss(clean: Array, enhanced: Array) -> float:
    """Weighted spectral slope distance (Klatt 1982), 0 for equal slopes between the critical bands."""
    energies = [band_energies(frames(x)) for x in (clean, enhanced)]
    slopes = [np.diff(energy, axis=1) for energy in energies]
    weights = np.mean([slope_weights(e, s) for e, s in zip(energies, slopes, strict=True)], axis=0)
    return best_mean((weights * (slopes[0] - slopes[1]) ** 2).sum(axis=1) / weights.sum(axis=1))


def segmental_snr(clean: Array, enhanced: Array) -> float:
    """Mean SNR of the frames in dB, each limited to -10..35 dB."""
    signal = (frames(clean) ** 2).sum(axis=1)
    noise = (frames(clean - enhanced) ** 2).sum(axis=1)
    return float(np.clip(10 * np.log10(signal / (noise + EPS) + EPS), -10, 35).mean())


def frames(x: Array) -> Array:
    """Windowed frames (T, FRAME); a shorter signal is one frame, padded with zeros."""
    count = max(1, (len(x) - FRAME) // SKIP)
    x = np.pad(x, (0, max(0, FRAME - len(x))))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, FRAME + 1) / (FRAME + 1))
    cut: Array = np.lib.stride_tricks.sliding_window_view(x, FRAME)[::SKIP][:count] * window
    return cut


def best_mean(distances: Array) -> float:
    return float(np.sort(distances)[: max(1, round(BEST_SHARE * len(distances)))].mean())


def autocorrelation(x: Array) -> Array:
    """Lags 0..LPC_ORDER of each frame: (T, FRAME) -> (T, LPC_ORDER + 1)."""
    return np.stack([(x[:, : FRAME - lag] * x[:, lag:]).sum(axis=1) for lag in range(LPC_ORDER + 1)], axis=1)


def predictor(r: Array) -> Array:
    """Prediction-error filters (T, LPC_ORDER + 1), first coefficient 1, by Levinson's and Durbin's recursion."""
    a = np.zeros_like(r)
    floor = np.maximum(EPS * r[:, 0], TINY)
    a[:, 0], error = 1.0, np.maximum(r[:, 0], floor)
    for i in range(1, LPC_ORDER + 1):
        k = -(a[:, :i] * r[:, i:0:-1]).sum(axis=1) / error
        a[:, : i + 1] += k[:, None] * a[:, i::-1]
        error = np.maximum(error * (1 - k**2), floor)
    return a


def residual(a: Array, r: Array) -> Array:
    """Energy that filter `a` leaves of a signal with autocorrelation `r`: a R a', (T,)."""
    lag = np.abs(np.subtract.outer(np.arange(LPC_ORDER + 1), np.arange(LPC_ORDER + 1)))
    energy: Array = np.einsum("ti,tij,tj->t", a, r[:, lag], a)
    return energy


def band_filters() -> Array:
    """Gaussian critical-band filters (25, N_FFT / 2), cut at -30 dB."""
    bins_per_hz = N_FFT / SAMPLE_RATE
    centres, widths = np.array(CENTRES)[:, None], np.array(WIDTHS)[:, None]
    distance = (np.arange(N_FFT // 2) - np.floor(centres * bins_per_hz)) / (widths * bins_per_hz)
    gains = np.exp(-11 * distance**2 + np.log(widths[0] / widths))
    kept: Array = np.where(gains > np.exp(-30 / (2 * 2.303)), gains, 0.0)
    return kept


def band_energies(x: Array) -> Array:
    """Energy of each frame in the critical bands, dB: (T, FRAME) -> (T, 25)."""
    power = np.abs(np.fft.rfft(x, N_FFT)[:, : N_FFT // 2]) ** 2
    energy: Array = 10 * np.log10(np.maximum(power @ band_filters().T, 1e-10))
    return energy


def slope_weights(energy: Array, slope: Array) -> Array:
    """Klatt's weights (T, 24): more near the largest and near the next peak of the spectrum."""
    below = energy[:, :-1]
    highest: Array = 20 / (20 + energy.max(axis=1, keepdims=True) - below)
    return highest / (1 + next_peak(energy, slope) - below)


def next_peak(energy: Array, slope: Array) -> Array:
    """Energy at the peak that each band's slope leads to, (T, 24).

    Uphill the authors' program takes the band before the peak; published figures include that, so it is kept.
    """
    bands = slope.shape[1]
    upward, downward = np.empty_like(slope), np.empty_like(slope)
    stop = np.full(len(slope), bands)
    for i in range(bands - 1, -1, -1):
        stop = np.where(slope[:, i] > 0, stop, i)
        upward[:, i] = np.take_along_axis(energy, np.maximum(stop - 1, 0)[:, None], axis=1)[:, 0]
    stop = np.full(len(slope), -1)
    for i in range(bands):
        stop = np.where(slope[:, i] <= 0, stop, i)
        downward[:, i] = np.take_along_axis(energy, stop[:, None] + 1, axis=1)[:, 0]
    return np.where(slope > 0, upward, downward)
