"""Convolutions along the bands of (B, T, F, C) tensors by the compiled layers."""

import ctypes
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from gtcrn_recipes.native.library import call

LANES = 8


class Tap(ctypes.Structure):
    _fields_ = [("source", ctypes.c_int), ("target", ctypes.c_int), ("k", ctypes.c_int)]


class Conv(ctypes.Structure):
    """`conv` of layers.c."""

    _fields_ = [
        ("frames", ctypes.c_int64),
        ("x_frame", ctypes.c_int64),
        ("y_frame", ctypes.c_int64),
        ("x_step", ctypes.c_int),
        ("y_step", ctypes.c_int),
        ("x_channels", ctypes.c_int),
        ("width", ctypes.c_int),
        ("taps", ctypes.c_int),
        ("tap", ctypes.POINTER(Tap)),
    ]


class Shape(NamedTuple):
    """A convolution along bands: `bands` in to `outputs` out, `width` taps, `stride` down or up."""

    bands: int
    outputs: int
    width: int
    stride: int = 1
    up: bool = False

    def taps(self, flipped: bool = False) -> tuple[tuple[int, int, int], ...]:
        """(source, target, k), by target; `flipped` from outputs to inputs."""
        pad, (narrow, wide) = self.width // 2, sorted((self.bands, self.outputs))
        pairs = [
            (self.stride * i + k - pad, i, k)
            for i in range(narrow)
            for k in range(self.width)
            if 0 <= self.stride * i + k - pad < wide
        ]
        if self.up != flipped:
            pairs = [(i, j, k) for j, i, k in pairs]
        return tuple(sorted(pairs, key=lambda tap: tap[1]))


@cache
def _taps(shape: Shape, flipped: bool) -> ctypes.Array[Tap]:
    found = shape.taps(flipped)
    assert {target for _, target, _ in found} == set(range(shape.bands if flipped else shape.outputs))
    return (Tap * len(found))(*(Tap(*tap) for tap in found))


def _conv(shape: Shape, flipped: bool, x: Tensor, y: Tensor) -> Conv:
    taps = _taps(shape, flipped)
    sizes = (x.shape[0] * x.shape[1], _frame(x), _frame(y), x.stride(2), y.stride(2), x.shape[3])
    return Conv(*sizes, shape.width, len(taps), taps)


def _frame(x: Tensor) -> int:
    """Floats from one frame to the next; from an item's last frame to the next item's first it must be as many."""
    batch, frames = x.shape[:2]
    frame = x.stride(1) if frames > 1 else x.stride(0)
    assert x.stride(3) == 1
    assert batch == 1 or x.stride(0) == frames * frame
    return frame


class Convolution(Function):
    """x (B, T, bands, I), which may skip channels, weight (width, I, O), bias (O) -> (B, T, outputs, O).

    O is 2, 8 or a multiple of 16 (with 2, I is at most 16); so is I, but where x needs no gradient it may be anything.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, shape: Shape) -> Tensor:
        y = x.new_empty(*x.shape[:2], shape.outputs, weight.shape[2])
        for part, w, b in zip(_lanes(y), _lanes(weight), _lanes(bias), strict=True):
            call(f"convolve_{part.shape[3]}", _conv(shape, False, x, part), x, w.contiguous(), b, part)
        ctx.save_for_backward(x, weight)
        ctx.shape = shape
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), shape = ctx.saved_tensors, ctx.shape
        dy = dy.contiguous()
        dx = _input_gradient(shape, dy, weight, x) if ctx.needs_input_grad[0] else None
        return dx, _weight_gradient(shape, x, dy), dy.sum((0, 1, 2)), None


def _lanes(x: Tensor) -> tuple[Tensor, ...]:
    lanes: tuple[Tensor, ...] = x.split(LANES, dim=-1)
    return lanes


def _input_gradient(shape: Shape, dy: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    dx = dy.new_empty(x.shape)
    for part, w in zip(_lanes(dx), weight.split(LANES, dim=1), strict=True):
        none = dy.new_zeros(w.shape[1])
        call(f"convolve_{w.shape[1]}", _conv(shape, True, dy, part), dy, w.transpose(1, 2).contiguous(), none, part)
    return dx


def _weight_gradient(shape: Shape, x: Tensor, dy: Tensor) -> Tensor:
    """(width, I, O). The outputs take the lanes where there are enough of them."""
    if dy.shape[3] < 8:
        return outer(shape, True, dy, x).transpose(1, 2)
    return torch.cat([outer(shape, False, x, part) for part in _lanes(dy)], dim=2)


def outer(shape: Shape, flipped: bool, x: Tensor, y: Tensor) -> Tensor:
    """Sum of x times y over the frames and taps: (width, channels of x, channels of y)."""
    total = x.new_zeros(shape.width, x.shape[3], y.shape[3])
    call(f"outer_{y.shape[3]}", _conv(shape, flipped, x, y), x, y, total)
    return total
