"""Normalisation in a `Program`: over the batch with an activation, over a frame with the residual beside it."""

import ctypes

from torch import nn

from gtcrn_recipes.native.program import Program, Value

MOST_CHANNELS = 128  # as in norm.h
NOTHING, PRELU, TANH = range(3)


class Norm(ctypes.Structure):
    """`norm` of norm.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("items", "n", "channels")),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "slope")),
        *((name, ctypes.c_float) for name in ("eps", "momentum")),
        ("activation", ctypes.c_int),
        *((name, ctypes.c_void_p) for name in ("running_mean", "running_variance", "mean", "rstd", "scale", "shift")),
        *((name, ctypes.c_void_p) for name in ("factor", "offset")),
        ("totals", ctypes.c_void_p),
    ]


def normalise(program: Program, x: Value, norm: nn.BatchNorm2d, activation: nn.Module | None) -> Value:
    """Batch normalisation and its activation; the running statistics follow."""
    y, parameters = Value(program.room(*x.data.shape)), program.parameters
    slope = activation.weight if isinstance(activation, nn.PReLU) else None
    kind = {nn.PReLU: PRELU, nn.Tanh: TANH, type(None): NOTHING}[type(activation)]
    learned = [None if p is None else parameters.here(p).data_ptr() for p in (norm.weight, norm.bias, slope)]
    channels = x.data.shape[3]
    kept = [
        norm.running_mean,
        norm.running_var,
        *program.room(6, channels),
        program.room(program.items, 6, MOST_CHANNELS),
    ]
    sizes = program.items, x.data[0].numel(), channels
    pointers = program.pointers(kept)
    shape = Norm(*sizes, *learned, norm.eps, norm.momentum, kind, *pointers)
    program.forward("moments", shape, x.data)
    program.forward("settle", shape, x.data, whole=True)
    program.forward("normalise", shape, x.data, y.data)

    def write() -> None:
        dy = program.consume(y)
        dx = program.acquire(*dy.shape) if program.is_shared(dy) else program.share(dy)  # in place where it may
        found = [parameters.gradient_here(p) for p in (norm.weight, norm.bias)]
        found.append(program.room(1) if slope is None else parameters.gradient_here(slope))
        program.backward("gradient_sums", shape, x.data, dy)
        program.backward("settle_gradient", shape, *found, whole=True)
        program.backward("normalise_backward", shape, x.data, dy, dx)
        program.release(dy)
        program.contribute(x, dx)

    program.on_the_way_back(write)
    return y


class LayerNorm(ctypes.Structure):
    """`layer_norm` of layer_norm.h."""

    _fields_ = [*((name, ctypes.c_int64) for name in ("frames", "n")), ("eps", ctypes.c_float)]


def add_normalised(program: Program, around: Value, x: Value, norm: nn.LayerNorm) -> Value:
    """`around` + layer normalisation of x, both (B, T, F, C)."""
    y, parameters = Value(program.room(*x.data.shape)), program.parameters
    shape = LayerNorm(x.data.shape[1], norm.weight.numel(), norm.eps)
    weight, bias = (parameters.here(p) for p in (norm.weight, norm.bias))
    kept = program.room(*x.data.shape[:2], 2)
    program.forward("normalise_frames", shape, x.data, around.data, weight, bias, y.data, kept)

    def write() -> None:
        dy, dx = program.consume(y), program.destination(x)
        totals = [program.scattered(parameters.places(p)) for p in (norm.weight, norm.bias)]
        program.backward("normalise_frames_backward", shape, x.data, dy, weight, kept, dx, *totals)
        program.contribute(x, dx)
        program.contribute(around, dy)

    program.on_the_way_back(write)
    return y
