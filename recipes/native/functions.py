"""The compiled layers as differentiable functions of torch tensors: float32, (B, T, F, C), contiguous unless said.

Each is tested against torch's own operators (tests/test_native.py). Only what training needs: the zero state, the
batch's own statistics, sizes of the published network.
"""

import ctypes
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from gtcrn_recipes.native.convolution import Shape, outer
from gtcrn_recipes.native.library import call

UNITS, GATES, SAVED = 16, 3, 5  # as in recurrence.h
NOTHING, PRELU, TANH = range(3)


class Depthwise(Function):
    """x (B, T, F, 16), weight (3, 3, 16), bias (16) -> (B, T, F, 16); causal, dilated in time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
        x, weight = x.contiguous(), weight.contiguous()
        y = torch.empty_like(x)
        call("depthwise", x, weight, bias, y, *x.shape[:3], dilation)
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dy = dy.contiguous()
        dx, dw, db = torch.empty_like(x), torch.empty_like(weight), weight.new_empty(UNITS)
        call("depthwise_backward", x, weight, dy, dx, dw, db, *x.shape[:3], ctx.dilation)
        return dx, dw, db, None


class Moments(NamedTuple):
    mean: Tensor
    variance: Tensor  # biased


def moments(x: Tensor) -> Moments:
    """Of each channel."""
    x = x.contiguous()
    found = Moments(x.new_empty(x.shape[-1]), x.new_empty(x.shape[-1]))
    call("moments", x, x.numel(), x.shape[-1], *found)
    return found


class Norm(ctypes.Structure):
    """`norm` of layers.c: sizes, statistics, activation."""

    _fields_ = [
        ("n", ctypes.c_int64),
        ("channels", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("mean", "rstd", "scale", "shift")),
        ("slope", ctypes.c_float),
        ("activation", ctypes.c_int),
    ]


def norm(x: Tensor, statistics: Iterable[Tensor], slope: float, activation: int) -> Norm:
    """Borrows the statistics' memory."""
    return Norm(x.numel(), x.shape[-1], *(s.data_ptr() for s in statistics), slope, activation)


class Normalise(Function):
    """Batch normalisation and an activation: weight and bias (C), slope a PReLU's, (1)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, slope: Tensor, found: Moments, eps: float, activation: int
    ) -> Tensor:
        rstd = (found.variance + eps).rsqrt()
        scale = weight * rstd
        statistics = (found.mean, rstd, scale, bias - found.mean * scale)
        x = x.contiguous()
        y = torch.empty_like(x)
        ctx.numbers = (float(slope), activation)
        call("normalise", norm(x, statistics, *ctx.numbers), x, y)
        ctx.save_for_backward(x, *statistics)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, *statistics = ctx.saved_tensors
        dx = torch.empty_like(x)
        d_weight, d_bias, d_slope = (x.new_empty(n) for n in (x.shape[-1], x.shape[-1], 1))
        call("normalise_backward", norm(x, statistics, *ctx.numbers), x, dy.contiguous(), dx, d_weight, d_bias, d_slope)
        return dx, d_weight, d_bias, d_slope, None, None, None


class Sequences(ctypes.Structure):
    """`recurrence` of layers.c: which positions of a (B, T, F, ...) tensor follow each other."""

    _fields_ = [
        ("sequences", ctypes.c_int64),
        ("steps", ctypes.c_int64),
        ("step", ctypes.c_int64),
        ("start", ctypes.c_void_p),
        ("directions", ctypes.c_int),
    ]


@cache
def _starts(batch: int, frames: int, bands: int, along_bands: bool) -> Tensor:
    places = torch.arange(batch * frames * bands).view(batch, frames, bands)
    return (places[:, :, 0] if along_bands else places[:, 0]).flatten().contiguous()


def sequences(shape: torch.Size, along_bands: bool) -> Sequences:
    batch, frames, bands = shape[:3]
    start = _starts(batch, frames, bands, along_bands)
    steps, step = (bands, 1) if along_bands else (frames, bands)
    return Sequences(len(start), steps, step, start.data_ptr(), 2 if along_bands else 1)


class Recurrence(Function):
    """A GRU from zero along frames, or along bands with units 8..15 going backwards.

    inputs (B, T, F, 48), weight (48, 16) and bias (48) of the hidden state, gates r, z, n -> (B, T, F, 16).
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, along_bands: bool) -> Tensor:
        order = sequences(inputs.shape, along_bands)
        y = inputs.new_empty(*inputs.shape[:3], UNITS)
        saved = inputs.new_empty(order.sequences * order.steps, SAVED, UNITS)
        weight = weight.detach().view(GATES, UNITS, UNITS).contiguous()
        call("recurrence_forward", order, inputs.contiguous(), weight.permute(2, 0, 1).contiguous(), bias, y, saved)
        ctx.save_for_backward(weight)
        ctx.saved, ctx.along_bands, ctx.shape = saved, along_bands, inputs.shape
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (weight,), saved, ctx.saved = ctx.saved_tensors, ctx.saved, None  # overwritten here: it serves once
        if saved is None:
            raise RuntimeError("the compiled recurrence cannot go backward twice.")
        dx = dy.new_empty(ctx.shape)
        call("recurrence_backward", sequences(ctx.shape, ctx.along_bands), dy.contiguous(), weight, saved, dx)
        hidden, before = saved[None, :, None, :GATES].flatten(3), saved[None, :, None, SAVED - 1]
        d_weight = outer(Shape(1, 1, 1), False, hidden, before)[0]
        return dx, d_weight, hidden.sum((0, 1, 2)), None


class Energy(Function):
    """Mean square over bands: (B, T, F, 8) -> (B, T, 8)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        y = x.new_empty(*x.shape[:2], x.shape[3])
        call("energy", x, y, x.shape[0] * x.shape[1], x.shape[2])
        ctx.save_for_backward(x)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        x: Tensor = ctx.saved_tensors[0]
        return x * (dy * (2 / x.shape[2]))[:, :, None]


class Shuffle(Function):
    """x (B, T, F, 8) times weight (B, T, 8), alternating with passed (B, T, F, 8): (B, T, F, 16)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, passed: Tensor) -> Tensor:
        y = x.new_empty(*x.shape[:3], 2 * x.shape[3])
        x, weight = x.contiguous(), weight.contiguous()
        call("shuffle", x, weight, passed, passed.stride(2), y, x.shape[0] * x.shape[1], x.shape[2])
        ctx.save_for_backward(x, weight)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        x, weight = ctx.saved_tensors
        dx, d_weight, d_passed = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(x)
        frames, bands = x.shape[0] * x.shape[1], x.shape[2]
        call("shuffle_backward", x, weight, dy.contiguous(), dx, d_weight, d_passed, frames, bands)
        return dx, d_weight, d_passed
