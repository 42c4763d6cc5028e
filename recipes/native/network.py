"""The network for training on a CPU: the parameters of a `GTCRN` of torch, the layers compiled, channels last.

The same function as the model in training mode from the zero state, faster (RESULTS.md); it returns the
enhanced spectrum and keeps the running statistics of the normalisations as the model itself would. It always trains,
whatever `model.eval()` says, and no gradient reaches the spectrum through the features.
"""

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gtcrn.config import GTCRNConfig
from gtcrn.network.layers import DualPathGRNN, FrequencyConv, GroupedGRU, GTConvBlock, TemporalAttention, block_diagonal
from gtcrn.network.model import GTCRN, apply_mask, features
from gtcrn_recipes.native import functions as fast
from gtcrn_recipes.native.convolution import LANES, Convolution, Shape
from gtcrn_recipes.native.functions import MOST_CHANNELS, NOTHING, PRELU, TANH
from gtcrn_recipes.native.library import is_built


class NativeGTCRN:
    """`model` run by the compiled layers: spectrum (B, 2, T, bins) -> (B, 2, T, bins)."""

    def __init__(self, model: GTCRN) -> None:
        self.model, self.config = model, model.config

    def __call__(self, spectrum: Tensor) -> Tensor:
        encoder, decoder = self.model.encoder, self.model.decoder
        first = _frequency_conv(self._features(spectrum), encoder.first)
        second = _frequency_conv(first, encoder.second)
        skips = [second]
        for block in encoder.blocks:
            skips.append(_block(skips[-1], cast(GTConvBlock, block)))
        x = skips[-1]
        for dual_path in self.model.dual_path:
            x = _dual_path(x, cast(DualPathGRNN, dual_path))
        for block in decoder.blocks:
            x = _block(x + skips.pop(), cast(GTConvBlock, block))
        x = _frequency_conv(x + second, decoder.second)
        x = _frequency_conv(x + first, decoder.first)  # (B, T, bands, 2)
        return apply_mask(self.model.spread(x.permute(0, 3, 1, 2)), spectrum)

    def _features(self, spectrum: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.model.gather(features(spectrum, self.config.input_exponent))
            gathered: Tensor = self.model.encoder.features(x)
            return gathered.permute(0, 2, 3, 1).contiguous()  # (B, T, bands, 9)


def _normalise(x: Tensor, norm: nn.Module, activation: nn.Module | None) -> Tensor:
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    norm.num_batches_tracked += 1
    running = fast.Running(norm.running_mean, norm.running_var, norm.momentum, norm.eps)
    kind = {nn.PReLU: PRELU, nn.Tanh: TANH, type(None): NOTHING}[type(activation)]
    slope = activation.weight if isinstance(activation, nn.PReLU) else x.new_zeros(1)
    y: Tensor = fast.Normalise.apply(x, norm.weight, norm.bias, slope, running, kind)
    return y


def _frequency_conv(x: Tensor, layer: FrequencyConv) -> Tensor:
    bands, up = x.shape[2], isinstance(layer.conv, nn.ConvTranspose2d)
    width = layer.conv.kernel_size[1]
    outputs = 2 * bands - 1 if up else (bands + 1) // 2
    weight, groups = layer.conv.weight[:, :, 0], layer.conv.groups  # (O, I / groups, width); up, I and O change places
    turned = weight.unflatten(0, (groups, -1)).permute(3, 1, 0, 2).flatten(2) if up else weight.permute(2, 1, 0)
    y = Convolution.apply(x, turned, layer.conv.bias, Shape(bands, outputs, width, 2, up), groups)
    return _normalise(y, layer.norm, layer.activation)


def _convolve(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """A convolution of (1, width), stride 1."""
    shape = Shape(x.shape[2], x.shape[2], layer.weight.shape[3])
    y: Tensor = Convolution.apply(x, layer.weight[:, :, 0].permute(2, 1, 0), layer.bias, shape)
    return y


def _block(x: Tensor, block: GTConvBlock) -> Tensor:
    x, passed = x.split(x.shape[3] // 2, dim=3)
    y = _normalise(_convolve(x, block.point), block.norm, block.activation)
    separable = block.separable
    depthwise = separable.depthwise
    y = fast.Depthwise.apply(y, depthwise.weight[:, 0].permute(1, 2, 0), depthwise.bias, depthwise.dilation[0])
    y = _normalise(y, separable.norm, separable.activation)
    pointwise = separable.pointwise
    y = _normalise(_linear(y, pointwise.weight[:, :, 0, 0], pointwise.bias), block.separable_norm, None)
    z: Tensor = fast.Shuffle.apply(y, _attention(y, block.attention), passed)
    return z


def _attention(x: Tensor, layer: TemporalAttention) -> Tensor:
    w_ih, w_hh, b_ih, b_hh = layer.gru.all_weights[0]
    inputs = functional.linear(fast.Energy.apply(x), w_ih, b_ih)[:, :, None]
    units = w_hh.shape[1]
    y = fast.Recurrence.apply(inputs, w_hh, b_hh, fast.Cells(units, units, False))[:, :, 0]
    return torch.sigmoid(layer.linear(y))


def _dual_path(x: Tensor, layer: DualPathGRNN) -> Tensor:
    y = _linear(_grouped_gru(x, layer.intra), *layer.intra_linear.parameters())
    x = x + layer.intra_norm(y)
    y = _linear(_grouped_gru(x, layer.inter), *layer.inter_linear.parameters())
    normed: Tensor = layer.inter_norm(y)
    return x + normed


def _grouped_gru(x: Tensor, layer: GroupedGRU) -> Tensor:
    """Directions and groups as one: the inputs of each cell are its group's channels."""
    width = x.shape[3]
    biases = [b.transpose(0, 1).flatten() for b in (layer.bias_ih, layer.bias_hh)]
    w_ih = block_diagonal(layer.weight_ih).unflatten(1, (layer.directions, width)).sum(1)
    inputs = _linear(x, w_ih, biases[0])
    cells = fast.Cells(width, layer.weight_hh.shape[-1], layer.directions == 2)
    y: Tensor = fast.Recurrence.apply(inputs, block_diagonal(layer.weight_hh), biases[1], cells)
    return y


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Of each position by itself, (B, T, F, I) contiguous: all positions of an item as frames of one band."""
    y: Tensor = Convolution.apply(x.flatten(1, 2)[:, :, None], weight.t()[None], bias, Shape(1, 1, 1))
    return y.view(*x.shape[:3], -1)


def supports(config: GTCRNConfig) -> bool:
    """Whether the compiled layers are there, and this is the published network but for its width and input exponent."""
    usual = replace(config, input_exponent=1.0, channels=GTCRNConfig.channels) == GTCRNConfig()
    return is_built() and usual and config.channels % (2 * LANES) == 0 and config.channels <= MOST_CHANNELS
