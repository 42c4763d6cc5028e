"""The layers of a `Program`: each writes its way forward, and leaves word of its way back.

float32, (B, T, F, C): batch, frames, bands, channels, the last by eights. Weights are places (`Parameters.places`).
Only what training needs: the zero state, the batch's own statistics.
"""

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor

from gtcrn_recipes.native.convolution import LANES, Conv, Shape, blocks, conv, turned
from gtcrn_recipes.native.program import Program, Value

TAPS = 3  # as in depthwise.h


def convolution(
    program: Program, x: Value, weight: Tensor, bias: Tensor, shape: Shape, groups: int = 1, normalised: bool = False
) -> Value:
    """x (B, T, bands, I), which may skip channels, weight (weights of the shape, I / groups, O), bias (O).

    O is below 8, of one group then, or a multiple of 8 times the groups; so is I where the gradient of x is wanted.
    Where batch statistics normalise the result, `normalised`, the gradient of the bias is 0 and not computed.
    """
    y = Value(program.room(*x.data.shape[:2], shape.outputs, weight.shape[2]))
    two = weight.shape[2] == 2 and weight.shape[1] % LANES == 0
    packed = program.gathered(weight.transpose(1, 2) if two else blocks(weight))
    taps, offsets = conv(shape, False, x.data, y.data, groups), program.gathered(bias)
    program.forward("convolve_two" if two else "convolve", taps, x.data, packed, offsets, y.data)
    back = program.gathered(blocks(turned(weight, groups))) if x.wanted else None

    def write() -> None:
        dy = program.consume(y)
        if back is not None:
            dx = program.destination(x)
            program.backward("convolve", conv(shape, True, dy, dx, groups), dy, back, None, dx)
            program.contribute(x, dx)
        _weight_gradient(program, x.data, dy, weight, None if normalised else bias, shape, groups)
        program.release(dy)

    program.on_the_way_back(write)
    return y


def _weight_gradient(
    program: Program, x: Tensor, dy: Tensor, weight: Tensor, bias: Tensor | None, shape: Shape, groups: int
) -> None:
    """The outputs take the lanes where there are enough of them."""
    if dy.shape[3] < LANES:
        back = conv(shape, True, dy, x, 1, by_weight=True)
        outer(program, back, dy, x, weight.transpose(1, 2), bias, of_x=True)
    else:
        outer(program, conv(shape, False, x, dy, groups, by_weight=True), x, dy, weight, bias)


def outer(
    program: Program, taps: Conv, x: Tensor, y: Tensor, weight: Tensor, bias: Tensor | None, of_x: bool = False
) -> None:
    """Gradient of weight (width, channels of x / groups, channels of y): x times y over the frames and taps; of bias
    (channels): the sum of y, or of x."""
    sums = None if bias is None else program.scattered(bias)
    program.backward("outer", taps, x, y, program.scattered(blocks(weight)), sums, n=(of_x,))


def linear(
    program: Program, x: Value, weight: Tensor, bias: Tensor, normalised: bool = False, shared: int = 0
) -> Value:
    """Of each position by itself, weight (O, I): all positions of an item as frames of one band. Or, with a weight for
    each group of `shared` bands, (groups, O, I), of each band."""
    if weight.dim() == 3:
        bands = x.data.shape[2]
        shape = Shape(bands, bands, 1, shared=shared)
        return convolution(program, x, weight.transpose(1, 2), bias, shape, normalised=normalised)
    flat = _alias(program, x, lambda t: t.flatten(1, 2)[:, :, None])
    y = convolution(program, flat, weight.t()[None], bias, Shape(1, 1, 1), normalised=normalised)
    return _alias(program, y, lambda t: t.view(*x.data.shape[:3], -1))


def _alias(program: Program, x: Value, seen: Callable[[Tensor], Tensor]) -> Value:
    """The same numbers in another shape."""
    y = Value(seen(x.data), x.wanted)
    if x.wanted:
        program.on_the_way_back(lambda: program.contribute(x, program.consume(y).view(x.data.shape)))
    return y


def add(program: Program, x: Value, y: Value) -> Value:
    z = Value(program.room(*x.data.shape))
    program.forward("add", None, x.data, y.data, z.data, n=(x.data[0].numel(),))

    def write() -> None:
        dz = program.consume(z)
        program.contribute(x, program.share(dz))
        program.contribute(y, dz)

    program.on_the_way_back(write)
    return z


class Depth(ctypes.Structure):
    """`depth` of depthwise.h."""

    _fields_ = [(name, ctypes.c_int64) for name in ("frames", "bands", "channels", "dilation")]


def depthwise(program: Program, x: Value, weight: Tensor, bias: Tensor, dilation: int) -> Value:
    """x (B, T, F, C), weight (3, 3, C), bias (C) -> (B, T, F, C); causal, dilated in time."""
    y, shape = Value(program.room(*x.data.shape)), Depth(*x.data.shape[1:], dilation)
    packed, offsets = program.gathered(weight), program.gathered(bias)
    program.forward("depthwise", shape, x.data, packed, offsets, y.data)

    def write() -> None:
        dy, dx = program.consume(y), program.destination(x)
        total = program.scattered(torch.cat((weight.flatten(0, 1), bias[None])))
        program.backward("depthwise_backward", shape, x.data, packed, dy, dx, total)
        program.release(dy)
        program.contribute(x, dx)

    program.on_the_way_back(write)
    return y


class Frames(ctypes.Structure):
    """`frame_shape` of attention.h."""

    _fields_ = [(name, ctypes.c_int64) for name in ("frames", "bands", "channels", "step")]


def attended(program: Program, x: Value, weigh: Callable[[Value], Value], passed: Value) -> Value:
    """x (B, T, F, C) times the weight (B, T, 1, C) that `weigh` makes of its mean squares over the bands, alternating
    with `passed` (B, T, F, C), which may skip channels: (B, T, F, 2 C)."""
    squares = Value(program.room(*x.data.shape[:2], 1, x.data.shape[3]))
    shape = Frames(*x.data.shape[1:], passed.data.stride(2))
    program.forward("energy", shape, x.data, squares.data)

    def write_squares() -> None:
        d = program.consume(squares)
        assert x.gradient is not None
        program.backward("energy_backward", shape, x.data, d, x.gradient)
        program.release(d)

    program.on_the_way_back(write_squares)
    weight = weigh(squares)
    y = Value(program.room(*x.data.shape[:3], 2 * x.data.shape[3]))
    program.forward("shuffle", shape, x.data, weight.data, passed.data, y.data)

    def write() -> None:
        dy, dx, d_weight = program.consume(y), program.destination(x), program.destination(weight)
        d_passed = program.destination(passed)
        back = Frames(*x.data.shape[1:], d_passed.stride(2))
        program.backward("shuffle_backward", back, x.data, weight.data, dy, dx, d_weight, d_passed)
        program.release(dy)
        for value, gradient in ((x, dx), (weight, d_weight), (passed, d_passed)):
            program.contribute(value, gradient)

    program.on_the_way_back(write)
    return y


def sigmoid(program: Program, x: Value) -> Value:
    y, n = Value(program.room(*x.data.shape)), (x.data[0].numel(),)
    program.forward("sigmoid", None, x.data, y.data, n=n)

    def write() -> None:
        dy, dx = program.consume(y), program.destination(x)
        program.backward("sigmoid_backward", None, y.data, dy, dx, n=n)
        program.release(dy)
        program.contribute(x, dx)

    program.on_the_way_back(write)
    return y


def halves(program: Program, x: Value) -> tuple[Value, Value]:
    """The lower and the upper channels, whose gradients become that of x in one place."""
    half = x.data.shape[3] // 2
    low, high = Value(x.data[..., :half]), Value(x.data[..., half:])
    whole: list[Tensor] = []

    def gradient() -> Tensor:
        if not whole:
            whole.append(program.destination(x))
        return whole[0]

    low.destination, high.destination = lambda: gradient()[..., :half], lambda: gradient()[..., half:]
    program.on_the_way_back(lambda: program.contribute(x, gradient()))
    return low, high
