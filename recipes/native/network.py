"""The network for training on a CPU: the parameters of a `GTCRN` of torch, the layers compiled, channels last.

The same function as the model in training mode from the zero state, faster (RESULTS.md), of spectra or of waveforms; it
keeps the running statistics of the normalisations as the model itself would. It always trains, whatever `model.eval()`
says, and no gradient reaches its input through the features.
"""

from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from gtcrn.config import GTCRNConfig
from gtcrn.network.layers import DualPathGRNN, FrequencyConv, GroupedGRU, GTConvBlock, TemporalAttention, block_diagonal
from gtcrn.network.model import GTCRN, apply_mask, features
from gtcrn_recipes.native import layers, norms
from gtcrn_recipes.native.convolution import LANES, Shape
from gtcrn_recipes.native.library import is_built
from gtcrn_recipes.native.norms import MOST_CHANNELS
from gtcrn_recipes.native.program import Parameters, Program, Value
from gtcrn_recipes.native.recurrence import Cells, recurrence
from gtcrn_recipes.native.waveform import FEATURES, Waveforms


class NativeGTCRN:
    """`model` run by the compiled layers: spectrum (B, 2, T, bins) -> (B, 2, T, bins)."""

    def __init__(self, model: GTCRN) -> None:
        self.model, self.config = model, model.config
        self.parameters = Parameters(list(model.parameters()))
        self._counts = [cast(Tensor, m.num_batches_tracked) for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        self._last: Compiled | None = None
        self._ends: Waveforms | None = None

    def __call__(self, spectrum: Tensor) -> Tensor:
        bands = _Network.apply(self._features(spectrum), self, *self.parameters.parameters)  # (B, T, bands, 2)
        return apply_mask(self.model.spread(bands.permute(0, 3, 1, 2)), spectrum)

    def enhance(self, noisy: Tensor) -> Tensor:
        """From waveforms to waveforms of whole hops, (B, N) -> (B, N), transforms and mask compiled too."""
        enhanced: Tensor = _Enhance.apply(noisy.contiguous(), self, *self.parameters.parameters)
        return enhanced

    def takes(self, samples: int) -> bool:
        """Whether `enhance` does."""
        return samples > 0 and samples % self.config.spectral.hop == 0

    def _features(self, spectrum: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.model.gather(features(spectrum, self.config.input_exponent))
            gathered: Tensor = self.model.encoder.features(x)
            return gathered.permute(0, 2, 3, 1).contiguous()  # (B, T, bands, 9)

    def compiled(self, shape: torch.Size) -> "Compiled":
        """The program for inputs of this shape; the last one is kept."""
        if self._last is None or self._last.input.shape != shape:
            self._last = None  # its memory goes first
            self._last = Compiled(self.model, self.parameters, shape)
        return self._last

    def ends(self, items: int, samples: int) -> Waveforms:
        """Before and behind the program for waveforms of this shape; the last are kept."""
        if self._ends is None or self._ends.shape != (items, samples):
            self._ends = Waveforms(self.config, items, samples)
        return self._ends

    def run(self, program: "Compiled", parameters: tuple[Tensor, ...]) -> int:
        """From the program's input to its output; the number of this run."""
        self.parameters.gather(parameters)
        torch._foreach_add_(self._counts, 1)
        return program.forward()


class _Network(Function):
    """Features (B, T, bands, 9) -> mask of the bands (B, T, bands, 2)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, network: NativeGTCRN, *parameters: Tensor) -> Tensor:
        ctx.program = program = network.compiled(x.shape)
        program.input.copy_(x)
        ctx.run = network.run(program, parameters)
        return program.output.data.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        ctx.program.slope.copy_(dy)
        return None, None, *ctx.program.backward(ctx.run)


class _Enhance(Function):
    """Noisy waveforms (B, N) -> enhanced ones (B, N)."""

    @staticmethod
    def forward(ctx: Any, noisy: Tensor, network: NativeGTCRN, *parameters: Tensor) -> Tensor:
        ctx.ends = ends = network.ends(*noisy.shape)
        ctx.program = program = network.compiled(torch.Size((len(noisy), ends.frames, ends.bands, FEATURES)))
        ends.prepare(noisy, program.input)
        ctx.run = network.run(program, parameters)
        return ends.finish(program.output.data)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_enhanced: Tensor) -> tuple[Tensor | None, ...]:
        ctx.ends.finish_backward(d_enhanced.contiguous(), ctx.program.slope)
        return None, None, *ctx.program.backward(ctx.run)


class Compiled:
    """The program of a model for one shape of features; what it computes lives in its own memory until the next run."""

    def __init__(self, model: GTCRN, parameters: Parameters, shape: torch.Size) -> None:
        self.parameters = parameters
        self.program = Program(parameters, shape[0])
        x = Value(self.program.room(*shape), wanted=False)
        y = _network(self.program, model, x)
        self.input, self.output = x.data, y
        y.gradient = self.slope = self.program.acquire(*y.data.shape)  # the output's gradient, written by the caller
        self.program.finish()
        self._runs = 0

    def forward(self) -> int:
        """The number of this run."""
        self.program.run_forward()
        self._runs += 1
        return self._runs

    def backward(self, run: int) -> list[Tensor]:
        """Gradients of the parameters. The way back overwrites what the way forward left: it can be gone once."""
        if run != self._runs:
            raise RuntimeError("the compiled network can go backward once, and only from its last run.")
        self._runs += 1
        self.program.run_backward()
        return self.parameters.gradients()


def _network(program: Program, model: GTCRN, x: Value) -> Value:
    encoder, decoder = model.encoder, model.decoder
    first = _frequency_conv(program, x, encoder.first)
    second = _frequency_conv(program, first, encoder.second)
    skips = [second]
    for block in encoder.blocks:
        skips.append(_block(program, skips[-1], cast(GTConvBlock, block)))
    x = skips[-1]
    for dual_path in model.dual_path:
        x = _dual_path(program, x, cast(DualPathGRNN, dual_path))
    for block in decoder.blocks:
        x = _block(program, layers.add(program, x, skips.pop()), cast(GTConvBlock, block))
    x = _frequency_conv(program, layers.add(program, x, second), decoder.second)
    return _frequency_conv(program, layers.add(program, x, first), decoder.first)  # (B, T, bands, 2)


def _places(program: Program, parameter: Tensor | None) -> Tensor:
    assert parameter is not None
    return program.parameters.places(parameter)


def _frequency_conv(program: Program, x: Value, layer: FrequencyConv) -> Value:
    bands, up = x.data.shape[2], isinstance(layer.conv, nn.ConvTranspose2d)
    width = layer.conv.kernel_size[1]
    outputs = 2 * bands - 1 if up else (bands + 1) // 2
    weight, groups = _places(program, layer.conv.weight)[:, :, 0], layer.conv.groups
    # (O, I / groups, width); up, I and O change places
    turned = weight.unflatten(0, (groups, -1)).permute(3, 1, 0, 2).flatten(2) if up else weight.permute(2, 1, 0)
    shape = Shape(bands, outputs, width, 2, up)
    y = layers.convolution(program, x, turned, _places(program, layer.conv.bias), shape, groups, normalised=True)
    return norms.normalise(program, y, layer.norm, layer.activation)


def _block(program: Program, x: Value, block: GTConvBlock) -> Value:
    low, passed = layers.halves(program, x)
    y = _convolve(program, low, block.point)
    y = norms.normalise(program, y, block.norm, block.activation)
    separable = block.separable
    depthwise, pointwise = separable.depthwise, separable.pointwise
    weight = _places(program, depthwise.weight)[:, 0].permute(1, 2, 0)
    y = layers.depthwise(program, y, weight, _places(program, depthwise.bias), depthwise.dilation[0])
    y = norms.normalise(program, y, separable.norm, separable.activation)
    weight, bias = (_places(program, p) for p in pointwise.parameters())
    y = layers.linear(program, y, weight[..., 0, 0], bias, normalised=True, shared=_shared(pointwise))
    y = norms.normalise(program, y, block.separable_norm, None)
    return layers.attended(program, y, lambda squares: _attention(program, squares, block.attention), passed)


def _shared(layer: nn.Module) -> int:
    """Bands with weights in common, 0 for all."""
    return cast(int, getattr(layer, "shared", 0))


def _convolve(program: Program, x: Value, layer: nn.Module) -> Value:
    """A convolution of (1, width), stride 1, that is normalised after."""
    bands = x.data.shape[2]
    weight, bias = (_places(program, p) for p in layer.parameters())
    shape = Shape(bands, bands, weight.shape[-1], shared=_shared(layer))
    turned = weight[..., 0, :].transpose(-1, -3).flatten(0, -3)  # (all widths, I, O)
    return layers.convolution(program, x, turned, bias, shape, normalised=True)


def _attention(program: Program, x: Value, layer: TemporalAttention) -> Value:
    w_ih, w_hh, b_ih, b_hh = (_places(program, p) for p in layer.gru.all_weights[0])
    units = w_hh.shape[1]
    inputs = layers.linear(program, x, w_ih, b_ih)
    y = recurrence(program, inputs, w_hh, b_hh, Cells(units, units, False))
    weight, bias = (_places(program, p) for p in layer.linear.parameters())
    return layers.sigmoid(program, layers.linear(program, y, weight, bias))


def _dual_path(program: Program, x: Value, layer: DualPathGRNN) -> Value:
    paths = (
        (layer.intra, layer.intra_linear, layer.intra_norm),
        (layer.inter, layer.inter_linear, layer.inter_norm),
    )
    for gru, projection, norm in paths:
        weight, bias = (_places(program, p) for p in projection.parameters())
        y = layers.linear(program, _grouped_gru(program, x, gru), weight, bias, shared=_shared(projection))
        x = norms.add_normalised(program, x, y, norm)
    return x


def _grouped_gru(program: Program, x: Value, layer: GroupedGRU) -> Value:
    """Directions and groups as one: the inputs of each cell are its group's channels."""
    width, shared = x.data.shape[3], _shared(layer)
    b_ih, b_hh = (_places(program, b).transpose(0, 1).flatten() for b in (layer.bias_ih, layer.bias_hh))
    w_ih, w_hh = (_dense(_places(program, weight)) for weight in (layer.weight_ih, layer.weight_hh))
    w_ih = w_ih.unflatten(-1, (layer.directions, width)).sum(-2)
    inputs = layers.linear(program, x, w_ih, b_ih, shared=shared)
    cells = Cells(width, layer.weight_hh.shape[-1], layer.directions == 2, shared)
    return recurrence(program, inputs, w_hh, b_hh, cells)


def _dense(weight: Tensor) -> Tensor:
    """Block-diagonal of the cells, (cells, 3, H, I); those of each group of bands where there are several."""
    return block_diagonal(weight) if weight.dim() == 4 else torch.stack([block_diagonal(own) for own in weight])


def supports(config: GTCRNConfig) -> bool:
    """Whether the compiled layers are there, and this is the published network but for numbers that they are told."""
    told = ("channels", "shared_bands", "dual_path_blocks", "input_exponent")
    usual = replace(GTCRNConfig(), **{name: getattr(config, name) for name in told}) == config
    return is_built() and usual and config.channels % (2 * LANES) == 0 and config.channels <= MOST_CHANNELS
