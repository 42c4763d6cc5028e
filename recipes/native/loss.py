"""The terms of the loss that corpus.toml and the published recipe use, compiled, with their gradient in the same pass.

training/losses.py defines them and computes, beside these, whatever is asked for beyond them.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from gtcrn.config import SpectralConfig
from gtcrn_recipes.native.library import call, is_built, read
from gtcrn_recipes.settings import LossConfig
from gtcrn_recipes.training import intelligibility, losses
from gtcrn_recipes.training.losses import Compared, Loss

NAMES = ("real_imaginary", "magnitude", "si_snr", "over_suppression", "estoi", "pesq")  # in the order of comparison.h
PESQ_SAMPLES = 5376  # 20 frames, the least that the disturbance is a mean of


class OctaveTables(ctypes.Structure):
    """`octave_tables` of intelligibility.h."""

    _fields_ = [
        ("hop", ctypes.c_int64),
        ("reach", ctypes.c_int64),
        ("window", ctypes.c_void_p),
        ("bank", ctypes.c_void_p),
        ("silence", ctypes.c_float),
        ("floor", ctypes.c_float),
    ]


class PesqTables(ctypes.Structure):
    """`pesq_tables` of pesq.h."""

    _fields_ = [
        ("bands", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("bins", "correction", "threshold", "exponent", "loud", "width")),
        ("power_filter", ctypes.c_double * 22),
        ("emphasis", ctypes.c_double * 6),
        ("leak", ctypes.c_float),
        ("total_width", ctypes.c_float),
    ]


class Comparison(ctypes.Structure):
    """`comparison` of comparison.h."""

    _fields_ = [
        ("items", ctypes.c_int64),
        ("samples", ctypes.c_int64),
        ("gain", ctypes.c_void_p),
        ("speaks", ctypes.c_void_p),
        ("weight", ctypes.c_float * len(NAMES)),
        *((name, ctypes.c_float) for name in ("exponent", "power_floor", "silence", "si_snr_floor", "si_snr_limit")),
        ("octaves", ctypes.POINTER(OctaveTables)),
        ("pesq", ctypes.POINTER(PesqTables)),
    ]


class _Compare(Function):
    """enhanced (B, N), clean (B, N) -> the weighted sum, and the weighted terms, which have no gradient."""

    @staticmethod
    def forward(ctx: Any, enhanced: Tensor, clean: Tensor, settings: Comparison) -> tuple[Tensor, Tensor]:
        items = len(enhanced)
        gradient = torch.empty_like(enhanced)
        room = enhanced.new_empty(items, read("loss_room", settings))
        each, totals = (ctypes.c_double * (items * len(NAMES)))(), (ctypes.c_double * len(NAMES))()
        call("compare", settings, enhanced, clean, gradient, room, each, totals)
        ctx.gradient = gradient
        terms = enhanced.new_tensor([w * t for w, t in zip(settings.weight, totals, strict=True)])
        ctx.mark_non_differentiable(terms)
        return terms.sum(), terms

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_total: Tensor, d_terms: Tensor) -> tuple[Tensor, None, None]:
        return ctx.gradient * d_total, None, None


class NativeLoss:
    """`loss` where `supports` says so: the same terms, those that are not compiled by torch."""

    def __init__(self, loss: Loss) -> None:
        self.loss, self.config = loss, loss.config
        others = loss.config.model_copy(update=dict.fromkeys(NAMES, 0.0))
        self.others = Loss(others, loss.spectral) if any(others.weights.values()) else None
        self.pesq = _PesqTables(loss.pesq) if loss.pesq is not None else None
        self.octaves = _OctaveTables(loss.spectral.sample_rate)

    def compare(
        self, enhanced_spectrum: Tensor | None, enhanced: Tensor, clean: Tensor, speech: Tensor | None = None
    ) -> Compared:
        """As `Loss.compare`."""
        gain, speaks = self.loss.levels(clean if speech is None else speech)
        speaking = speaks.float()
        settings = self._settings(len(clean), clean.shape[1], gain, speaking)
        total, terms = _Compare.apply(enhanced.contiguous(), clean.contiguous(), settings)
        others = self.others(enhanced_spectrum, enhanced, clean, speech) if self.others else {}
        found = dict(zip(NAMES, terms.unbind(), strict=True)) | others
        asked = {name: found[name] for name, weight in self.config.weights.items() if weight}
        return Compared(torch.stack([total, *others.values()]).sum(), asked)

    def _settings(self, items: int, samples: int, gain: Tensor, speaking: Tensor) -> Comparison:
        """Borrows the tensors' memory."""
        config = self.config
        weights = (ctypes.c_float * len(NAMES))(*(config.weights[name] for name in NAMES))
        numbers = (config.exponent, losses.POWER_FLOOR, losses.SILENCE, losses.SI_SNR_FLOOR)
        limit = 10 ** (-config.si_snr_limit_db / 10)
        pesq = ctypes.pointer(self.pesq.structure) if self.pesq else None
        tables = ctypes.pointer(self.octaves.structure), pesq
        return Comparison(items, samples, gain.data_ptr(), speaking.data_ptr(), weights, *numbers, limit, *tables)


class _OctaveTables:
    """Window and bands of ESTOI, for the compiled term."""

    def __init__(self, sample_rate: int) -> None:
        hop, window, bank = intelligibility.analysis(sample_rate)
        reach = int(bank.any(1).nonzero().max()) + 1
        self.kept = window, bank[:reach].contiguous()  # their memory is borrowed
        pointers = (t.data_ptr() for t in self.kept)
        silence = 10 ** (-intelligibility.SPAN_DB / 10)
        self.structure = OctaveTables(hop, reach, *pointers, silence, intelligibility.FLOOR)


class _PesqTables:
    """What torch_pesq's module knows of bands and filters, for the compiled term."""

    def __init__(self, module: Any) -> None:
        from torch_pesq.loudness import Sl_16k

        bank, loudness = module.fbank, module.loudness
        threshold, exponent = loudness.threshs.double().flatten(), loudness.exp.double()
        loud = (2 * threshold) ** exponent * Sl_16k
        tables = (bank.pow_dens_correction, threshold, exponent, loud, bank.width_bark)
        self.kept = [bank.fbank.sum(1).long(), *(t.float().contiguous() for t in tables)]  # their memory is borrowed
        filters = [
            (ctypes.c_double * f.numel())(*f.double().flatten().tolist())
            for f in (module.power_filter, module.pre_filter)
        ]
        pointers = (t.data_ptr() for t in self.kept)
        self.structure = PesqTables(len(loud), *pointers, *filters, losses.PESQ_LEAK, float(bank.total_width))


def supports(config: LossConfig, spectral: SpectralConfig, samples: int) -> bool:
    """Whether the compiled loss computes what its terms mean here, for items of so many samples."""
    long_enough = not config.pesq or samples >= PESQ_SAMPLES
    return is_built() and long_enough and not config.from_network and spectral == SpectralConfig()
