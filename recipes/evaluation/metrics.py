"""Scores of enhanced speech, one signature each: (clean, enhanced), float samples (n,), full scale 1.

All but SI-SDR need the extra `gtcrn[eval]`, DistillMOS `gtcrn[mos]`. Arguments of unequal length, empty, silent or with
NaN raise AudioError.
PESQ is that of the package `pesq`: P.862.2 without Corrigendum 2, as nearly all published figures are; values of other
implementations differ.
"""

import contextlib
import io
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from gtcrn.errors import AudioError, needs

Audio = npt.NDArray[np.floating]


class Composite(NamedTuple):
    """Predicted mean opinion scores, 1 to 5 (Hu & Loizou 2008)."""

    csig: float  # distortion of the speech
    cbak: float  # intrusiveness of the background
    covl: float  # overall


def wb_pesq(clean: Audio, enhanced: Audio, sample_rate: int = 16_000) -> float:
    """Wide-band PESQ (P.862.2), 1.04 to 4.64; raises AudioError where it finds no speech."""
    clean, enhanced = checked(clean, enhanced)
    if sample_rate != 16_000:
        raise AudioError(f"wide-band PESQ is defined at 16000 Hz, not at {sample_rate} Hz; resample first.")
    pesq = extra("pesq")
    try:
        return float(pesq.pesq(sample_rate, clean, enhanced, "wb"))
    except pesq.PesqError as error:
        raise AudioError(f"PESQ cannot score this: {reason(error)}.") from error


def reason(error: Exception) -> str:
    """The package's message, which it gives as bytes."""
    text = error.args[0] if error.args else type(error).__name__
    return text.decode() if isinstance(text, bytes) else str(text)


def stoi(clean: Audio, enhanced: Audio, sample_rate: int = 16_000) -> float:
    """Short-time objective intelligibility (Taal et al. 2011), 0 to 1."""
    return intelligibility(clean, enhanced, sample_rate, extended=False)


def estoi(clean: Audio, enhanced: Audio, sample_rate: int = 16_000) -> float:
    """Extended STOI (Jensen & Taal 2016), about 0 to 1; lower than STOI for the same pair."""
    return intelligibility(clean, enhanced, sample_rate, extended=True)


def intelligibility(clean: Audio, enhanced: Audio, sample_rate: int, extended: bool) -> float:
    clean, enhanced = checked(clean, enhanced)
    enough = len(clean) >= 0.4 * sample_rate  # the package fails on the shortest ones
    score = float(extra("pystoi").stoi(clean, enhanced, sample_rate, extended=extended)) if enough else 1e-5
    if score == 1e-5:  # how it says that fewer than 30 frames (0.4 s) hold speech
        raise AudioError("STOI cannot score this: less than 0.4 s of speech.")
    return score


def si_sdr(clean: Audio, enhanced: Audio) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, eq. 4), means removed.

    Limited to what float64 resolves, +-156 dB, so that a perfect file does not make a mean infinite.
    """
    clean, enhanced = checked(clean, enhanced)
    clean, enhanced = clean - clean.mean(), enhanced - enhanced.mean()
    target = clean * (clean @ enhanced) / (clean @ clean)
    distortion = enhanced - target
    floor = float(np.finfo(np.float64).eps * (enhanced @ enhanced))
    return float(10 * np.log10(max(float(target @ target), floor) / max(float(distortion @ distortion), floor)))


def dnsmos(enhanced: Audio) -> dict[str, float]:
    """DNSMOS P.835 `ovrl`, `sig`, `bak` and P.808 `p808`, 1 to 5, of audio at 16 kHz; needs no clean speech.

    Samples beyond full scale are brought down as a whole.
    """
    audio = sound(enhanced, "enhanced").astype(np.float32)
    audio /= max(1.0, float(np.abs(audio).max()))
    scores = dnsmos_scorer()(audio, 16_000, False)
    return {name: float(scores[f"{name}_mos"]) for name in ("ovrl", "sig", "bak", "p808")}


@cache
def dnsmos_scorer() -> Callable[[npt.NDArray[np.float32], int, bool], dict[str, float]]:
    """The package's models, loaded once, each on one thread: files are scored in parallel, not parts of a file."""
    module, runtime = extra("speechmos.dnsmos"), extra("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    folder = Path(module.__file__ or "").parent / "dnsmos_models"
    paths = [str(folder / name) for name in ("sig_bak_ovr.onnx", "model_v8.onnx")]
    scorer = module.DNSMOS(*paths)
    scorer.onnx_sess, scorer.p808_onnx_sess = (runtime.InferenceSession(path, options) for path in paths)
    return cast(Callable[[npt.NDArray[np.float32], int, bool], dict[str, float]], scorer)


def distillmos(enhanced: Audio) -> float:
    """DistillMOS (Stahl & Gamper 2025), 1 to 5: predicted mean opinion score of audio at 16 kHz, whatever its level."""
    torch, audio = extra("torch", "mos"), sound(enhanced, "enhanced").astype(np.float32)
    with torch.inference_mode():
        return float(distillmos_network()(torch.from_numpy(audio)[None]))


@cache
def distillmos_network() -> Callable[[Any], Any]:
    """The package's network, loaded once; it tells where from on standard output."""
    with contextlib.redirect_stdout(io.StringIO()):
        return cast(Callable[[Any], Any], extra("distillmos", "mos").ConvTransformerSQAModel().eval())


def composite(clean: Audio, enhanced: Audio, pesq: float | None = None) -> Composite:
    """CSIG, CBAK and COVL of a pair at 16 kHz; `pesq` spares computing WB-PESQ again."""
    from gtcrn_recipes.evaluation.composite import llr, regression, segmental_snr, wss

    pesq = wb_pesq(clean, enhanced) if pesq is None else pesq
    x, y = checked(clean, enhanced)
    return Composite(*regression(pesq, llr(x, y), wss(x, y), segmental_snr(x, y)))


def checked(clean: Audio, enhanced: Audio) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Both as float64 (n,); raises AudioError where they cannot be compared."""
    pair = sound(clean, "clean"), sound(enhanced, "enhanced")
    if len(pair[0]) != len(pair[1]):
        raise AudioError(f"clean has {len(pair[0])} samples and enhanced {len(pair[1])}; they must be aligned.")
    return pair


def sound(audio: Audio, name: str) -> npt.NDArray[np.float64]:
    """One channel of finite samples that are not all the same."""
    samples: npt.NDArray[np.float64] = np.asarray(audio, np.float64)
    if samples.ndim != 1 or not len(samples):
        raise AudioError(f"{name} must be one channel of samples (n,), not {samples.shape}.")
    if not np.isfinite(samples).all():
        raise AudioError(f"{name} holds NaN or infinity.")
    if np.ptp(samples) == 0:
        raise AudioError(f"{name} is silent.")
    return samples


def extra(module: str, name: str = "eval") -> ModuleType:
    """A package of an extra of ours; raises ConfigError that says how to install it."""
    with needs(name):
        return import_module(module)
