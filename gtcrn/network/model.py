"""GTCRN, the network (Rong et al., "GTCRN: A Speech Enhancement Model Requiring Ultralow Computational Resources",
ICASSP 2024): spectrum in, enhanced spectrum out, causal, 23,669 learned parameters in the published size.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gtcrn.config import GTCRNConfig
from gtcrn.erb import erb_matrix
from gtcrn.network.bands import Bands
from gtcrn.network.layers import DualPathGRNN, FrequencyConv, GTConvBlock, GTConvState, SubbandFeatures


class GTCRNState(NamedTuple):
    """All that the network remembers of the past; batch is dimension 0 of every leaf."""

    encoder: tuple[GTConvState, ...]
    dual_path: tuple[Tensor, ...]
    decoder: tuple[GTConvState, ...]


class Encoder(nn.Module):
    """Features to 1/4 of the width: two strided convolutions, then GTConvBlocks of growing dilation."""

    def __init__(self, config: GTCRNConfig) -> None:
        super().__init__()
        c, k, bands = config.channels, config.kernel_width, Bands.of(config)
        self.features = SubbandFeatures(config.neighbours)
        self.first = FrequencyConv(config.features * config.neighbours, c, k, groups=1, activation=nn.PReLU(), up=False)
        self.second = FrequencyConv(c, c, k, groups=config.groups, activation=nn.PReLU(), up=False)
        self.blocks = nn.ModuleList(
            GTConvBlock(c, config.neighbours, config.kernel, d, bands) for d in config.dilations
        )

    def forward(self, x: Tensor, states: tuple[GTConvState, ...]) -> tuple[list[Tensor], tuple[GTConvState, ...]]:
        outputs = [self.first(self.features(x))]  # (B, C, T, 65)
        outputs.append(self.second(outputs[-1]))  # (B, C, T, 33)
        new_states = []
        for block, state in zip(self.blocks, states, strict=True):
            y, state = block(outputs[-1], state)  # (B, C, T, 33)
            outputs.append(y)
            new_states.append(state)
        return outputs, tuple(new_states)


class Decoder(nn.Module):
    """The encoder mirrored; each layer adds the output of its counterpart."""

    def __init__(self, config: GTCRNConfig) -> None:
        super().__init__()
        c, k, bands = config.channels, config.kernel_width, Bands.of(config)
        self.blocks = nn.ModuleList(
            GTConvBlock(c, config.neighbours, config.kernel, d, bands) for d in reversed(config.dilations)
        )
        self.second = FrequencyConv(c, c, k, groups=config.groups, activation=nn.PReLU(), up=True)
        self.first = FrequencyConv(c, 2, k, groups=1, activation=nn.Tanh(), up=True)

    def forward(
        self, x: Tensor, skips: list[Tensor], states: tuple[GTConvState, ...]
    ) -> tuple[Tensor, tuple[GTConvState, ...]]:
        first, second, *skips = skips
        new_states = []
        for block, skip, state in zip(self.blocks, reversed(skips), states, strict=True):
            x, state = block(x + skip, state)  # (B, C, T, 33)
            new_states.append(state)
        x = self.second(x + second)  # (B, C, T, 65)
        return self.first(x + first), tuple(new_states)  # (B, 2, T, 129)


class GTCRN(nn.Module):
    """Estimates a complex mask and applies it: spectrum (B, 2, T, bins), real and imaginary, to the same shape."""

    erb: Tensor

    def __init__(self, config: GTCRNConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GTCRNConfig()
        self.register_buffer("erb", torch.from_numpy(erb_matrix(config)), persistent=False)
        self.encoder = Encoder(config)
        self.dual_path = nn.ModuleList(
            DualPathGRNN(config.channels, config.width, config.groups, Bands.of(config))
            for _ in range(config.dual_path_blocks)
        )
        self.decoder = Decoder(config)

    def initial_state(self, batch: int = 1) -> GTCRNState:
        """The state before the first frame: zeros."""
        c, width, like = self.config.channels, self.config.width, self.erb
        dilations = self.config.dilations

        def block(dilation: int) -> GTConvState:
            frames = like.new_zeros(batch, c, (self.config.kernel - 1) * dilation, width)
            return GTConvState(frames, like.new_zeros(batch, c))

        return GTCRNState(
            encoder=tuple(block(d) for d in dilations),
            dual_path=tuple(like.new_zeros(batch, width, c) for _ in self.dual_path),
            decoder=tuple(block(d) for d in reversed(dilations)),
        )

    def forward(self, spectrum: Tensor, state: GTCRNState) -> tuple[Tensor, GTCRNState]:
        mask, state = self.mask(spectrum, state)
        return apply_mask(mask, spectrum), state

    def mask(self, spectrum: Tensor, state: GTCRNState) -> tuple[Tensor, GTCRNState]:
        """The complex mask, each part within -1..1: (B, 2, T, bins)."""
        bands = self.gather(features(spectrum, self.config.input_exponent))  # (B, 3, T, 129)
        skips, encoder = self.encoder(bands, state.encoder)
        x, dual_path = skips[-1], []  # (B, C, T, 33)
        for block, memory in zip(self.dual_path, state.dual_path, strict=True):
            x, memory = block(x, memory)
            dual_path.append(memory)
        bands, decoder = self.decoder(x, skips, state.decoder)  # (B, 2, T, 129)
        return self.spread(bands), GTCRNState(encoder, tuple(dual_path), decoder)

    def gather(self, x: Tensor) -> Tensor:
        """Low bins as they are, high bins into ERB bands: (..., bins) -> (..., bands)."""
        low, high = x.split((self.config.erb_low, x.shape[-1] - self.config.erb_low), dim=-1)
        return torch.cat((low, high @ self.erb.t()), dim=-1)

    def spread(self, x: Tensor) -> Tensor:
        """The opposite: (..., bands) -> (..., bins)."""
        low, high = x.split((self.config.erb_low, x.shape[-1] - self.config.erb_low), dim=-1)
        return torch.cat((low, high @ self.erb), dim=-1)


def apply_mask(mask: Tensor, spectrum: Tensor) -> Tensor:
    """Their complex product, (B, 2, T, bins)."""
    real, imag = spectrum.unbind(1)
    mask_real, mask_imag = mask.unbind(1)
    return torch.stack((real * mask_real - imag * mask_imag, imag * mask_real + real * mask_imag), dim=1)


def features(spectrum: Tensor, exponent: float) -> Tensor:
    """Magnitude, real and imaginary part, the magnitude raised to `exponent` (1, 1/2 or 1/4): (B, 3, T, bins).

    The power is a chain of square roots, so that every implementation rounds alike.
    """
    real, imag = spectrum.unbind(1)
    magnitude = (real.square() + imag.square() + 1e-12).sqrt()
    compressed = magnitude
    for _ in range(round(-math.log2(exponent))):
        compressed = compressed.sqrt()
    gain = compressed / magnitude
    return torch.stack((compressed, real * gain, imag * gain), dim=1)


def count_parameters(model: nn.Module) -> int:
    """Learned numbers; the ERB matrix is fixed and not counted."""
    return sum(p.numel() for p in model.parameters())
