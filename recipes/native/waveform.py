"""From noisy waveforms to the features of the compiled network, and from its masks to waveforms."""

import ctypes
import math

import torch
from torch import Tensor

from gtcrn.config import GTCRNConfig
from gtcrn.erb import erb_matrix
from gtcrn_recipes.native.library import call, read

FEATURES = 9  # of a band: magnitude, real and imaginary part of it and its two neighbours


class _Waveforms(ctypes.Structure):
    """`waveforms` of waveform.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("items", "samples", "roots")),
        *((name, ctypes.c_void_p) for name in ("band", "share", "spectra")),
    ]


class Waveforms:
    """A batch of waveforms of one shape; holds the spectra of the last noisy ones.

    What `GTCRN.gather`, `features`, `spread`, `apply_mask` and the transforms of training/enhance.py do, compiled. The
    samples are a multiple of the hop.
    """

    def __init__(self, config: GTCRNConfig, items: int, samples: int) -> None:
        self.shape = items, samples
        self.frames, self.bands = 1 + samples // config.spectral.hop, config.bands
        erb = torch.from_numpy(erb_matrix(config))  # (bands, bins): each bin is in two neighbours at most
        band = (erb > 0).int().argmax(0)
        first = erb.gather(0, band[None])[0]
        share = torch.stack((first, 1 - first), 1)
        roots = round(-math.log2(config.input_exponent))
        structure = _Waveforms(items, samples, roots, band.data_ptr(), share.data_ptr())
        spectra = torch.empty(read("spectra_room", structure), dtype=torch.uint8)
        structure.spectra = spectra.data_ptr()
        self._structure, self._kept = structure, (band, share, spectra)  # their memory is borrowed

    def prepare(self, noisy: Tensor, features: Tensor) -> None:
        """(B, N) -> (B, T, bands, 9), written to `features`."""
        call("prepare", self._structure, noisy, features)

    def finish(self, masks: Tensor) -> Tensor:
        """(B, T, bands, 2) -> enhanced (B, N)."""
        enhanced = masks.new_empty(self.shape)
        call("finish", self._structure, masks, enhanced)
        return enhanced

    def finish_backward(self, d_enhanced: Tensor, d_masks: Tensor) -> None:
        """The gradient of `finish`, (B, N) -> (B, T, bands, 2), written to `d_masks`."""
        call("finish_backward", self._structure, d_enhanced, d_masks)
