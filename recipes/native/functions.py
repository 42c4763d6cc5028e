"""The compiled layers as differentiable functions of torch tensors: float32, (B, T, F, C), contiguous unless said.

Each is tested against torch's own operators (tests/test_native.py). Only what training needs: the zero state, the
batch's own statistics, channels by eights.
"""

import ctypes
import math
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from gtcrn_recipes.native.convolution import LANES, Shape, column_sums, outer
from gtcrn_recipes.native.library import call

GATES, SAVED, TAPS, MOST_CHANNELS = 3, 5, 3, 128  # as in recurrence.h, depthwise.h and norm.h
NOTHING, PRELU, TANH = range(3)


class Depth(ctypes.Structure):
    """`depth` of depthwise.h."""

    _fields_ = [(name, ctypes.c_int64) for name in ("items", "frames", "bands", "channels", "dilation")]


class Depthwise(Function):
    """x (B, T, F, C), weight (3, 3, C), bias (C) -> (B, T, F, C); causal, dilated in time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
        x, weight = x.contiguous(), weight.contiguous()
        y = torch.empty_like(x)
        call("depthwise", Depth(*x.shape, dilation), x, weight, bias, y)
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dx, total = torch.empty_like(x), x.new_empty(len(x), TAPS**2 + 1, x.shape[3])
        call("depthwise_backward", Depth(*x.shape, ctx.dilation), x, weight, dy.contiguous(), dx, total)
        *weights, bias = total.sum(0)
        return dx, torch.stack(weights).view_as(weight), bias, None


class Running(NamedTuple):
    """Statistics that follow those of the batches, (C) each, by a share of `momentum`."""

    mean: Tensor
    variance: Tensor
    momentum: float
    eps: float


class Norm(ctypes.Structure):
    """`norm` of norm.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("items", "n", "channels")),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "slope")),
        *((name, ctypes.c_float) for name in ("eps", "momentum")),
        ("activation", ctypes.c_int),
        *((name, ctypes.c_void_p) for name in ("running_mean", "running_variance", "mean", "rstd", "scale", "shift")),
        ("totals", ctypes.c_void_p),
    ]


class Normalise(Function):
    """Batch normalisation and an activation: weight and bias (C), slope a PReLU's, (1); `running` follows."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, slope: Tensor, running: Running, activation: int
    ) -> Tensor:
        x = x.contiguous()
        statistics, y = x.new_empty(4, x.shape[-1]), torch.empty_like(x)
        ctx.totals = x.new_empty(len(x), 3, MOST_CHANNELS, dtype=torch.float64)
        ctx.running, ctx.activation = running, activation
        ctx.save_for_backward(x, weight, bias, slope, statistics)
        call("normalise", _norm(ctx, x, weight, bias, slope, statistics), x, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, *rest = ctx.saved_tensors
        dx = torch.empty_like(x)
        d_weight, d_bias, d_slope = (x.new_empty(n) for n in (x.shape[-1], x.shape[-1], 1))
        call("normalise_backward", _norm(ctx, x, *rest), x, dy.contiguous(), dx, d_weight, d_bias, d_slope)
        return dx, d_weight, d_bias, d_slope, None, None


def _norm(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, slope: Tensor, statistics: Tensor) -> Norm:
    """Borrows the tensors' memory."""
    running = ctx.running
    sizes = len(x), x[0].numel(), x.shape[-1]
    learned = (t.data_ptr() for t in (weight, bias, slope))
    kept = (t.data_ptr() for t in (running.mean, running.variance, *statistics))
    return Norm(*sizes, *learned, running.eps, running.momentum, ctx.activation, *kept, ctx.totals.data_ptr())


class Sequences(ctypes.Structure):
    """`recurrence` of recurrence.h: which positions of a (B, T, F, ...) tensor follow each other."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("items", "sequences", "steps", "step", "units", "span")),
        ("start", ctypes.c_void_p),
        ("directions", ctypes.c_int64),
    ]


@cache
def _starts(batch: int, frames: int, bands: int, along_bands: bool) -> Tensor:
    places = torch.arange(batch * frames * bands).view(batch, frames, bands)
    return (places[:, :, 0] if along_bands else places[:, 0]).flatten().contiguous()


class Cells(NamedTuple):
    """GRUs side by side: `units` of all, `cell` of one; along bands the second half of them goes backwards."""

    units: int
    cell: int
    along_bands: bool

    @property
    def span(self) -> int:
        """Units within which the state of a vector of units depends: of whole cells and whole vectors."""
        return math.lcm(self.cell, LANES)

    def sequences(self, shape: torch.Size) -> Sequences:
        batch, frames, bands = shape[:3]
        start = _starts(batch, frames, bands, self.along_bands)
        steps, step = (bands, 1) if self.along_bands else (frames, bands)
        counts = (batch, len(start) // batch, steps, step, self.units, self.span)
        return Sequences(*counts, start.data_ptr(), 2 if self.along_bands else 1)


class Recurrence(Function):
    """GRUs from zero: inputs (B, T, F, 3 U), weight (3 U, U), zero between the cells, and bias (3 U) of the hidden
    state, gates r, z, n -> (B, T, F, U)."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, cells: Cells) -> Tensor:
        order, units = cells.sequences(inputs.shape), cells.units
        y = inputs.new_empty(*inputs.shape[:3], units)
        saved = inputs.new_empty(order.items, order.sequences * order.steps, SAVED, units)
        weight = weight.detach().view(GATES, units, units).contiguous()
        call("recurrence_forward", order, inputs.contiguous(), weight.permute(2, 0, 1).contiguous(), bias, y, saved)
        ctx.save_for_backward(weight)
        ctx.saved, ctx.cells, ctx.shape = saved, cells, inputs.shape
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (weight,), saved, ctx.saved = ctx.saved_tensors, ctx.saved, None  # overwritten here: it serves once
        if saved is None:
            raise RuntimeError("the compiled recurrence cannot go backward twice.")
        dx = dy.new_empty(ctx.shape)
        call("recurrence_backward", ctx.cells.sequences(ctx.shape), dy.contiguous(), weight, saved, dx)
        d_bias = column_sums(saved.flatten(2)[:, :, : GATES * ctx.cells.units])
        return dx, _hidden_gradient(saved, ctx.cells), d_bias, None


def _hidden_gradient(saved: Tensor, cells: Cells) -> Tensor:
    """(3 U, U) of what `recurrence_backward` left: the gates' gradients times the state before, within the spans."""
    before, spans = saved[:, :, None, SAVED - 1], cells.units // cells.span
    total = saved.new_zeros(GATES, spans, cells.span, spans, cells.span)
    for gate, each in enumerate(total):
        found = outer(Shape(1, 1, 1), False, saved[:, :, None, gate], before, spans)[0]  # (span, U)
        each.diagonal(dim1=0, dim2=2).copy_(found.unflatten(1, (spans, -1)).transpose(1, 2))
    return total.flatten(3).flatten(0, 2)


class Frames(ctypes.Structure):
    """`frame_shape` of attention.h."""

    _fields_ = [(name, ctypes.c_int64) for name in ("items", "frames", "bands", "channels", "step")]


class Energy(Function):
    """Mean square over bands: (B, T, F, C) -> (B, T, C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        y = x.new_empty(*x.shape[:2], x.shape[3])
        call("energy", Frames(*x.shape), x, y)
        ctx.save_for_backward(x)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        x: Tensor = ctx.saved_tensors[0]
        return x * (dy * (2 / x.shape[2]))[:, :, None]


class Shuffle(Function):
    """x (B, T, F, C) times weight (B, T, C), alternating with passed (B, T, F, C): (B, T, F, 2 C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, passed: Tensor) -> Tensor:
        y = x.new_empty(*x.shape[:3], 2 * x.shape[3])
        x, weight = x.contiguous(), weight.contiguous()
        call("shuffle", Frames(*x.shape, passed.stride(2)), x, weight, passed, y)
        ctx.save_for_backward(x, weight)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        x, weight = ctx.saved_tensors
        dx, d_weight, d_passed = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(x)
        call("shuffle_backward", Frames(*x.shape), x, weight, dy.contiguous(), dx, d_weight, d_passed)
        return dx, d_weight, d_passed
