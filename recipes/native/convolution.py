"""Convolutions along the bands of (B, T, F, C) tensors: which taps they have, and the order of their weights."""

import ctypes
from functools import cache
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

LANES = 8


class Tap(ctypes.Structure):
    _fields_ = [("source", ctypes.c_int), ("target", ctypes.c_int), ("k", ctypes.c_int)]


class Conv(ctypes.Structure):
    """`conv` of convolution.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("frames", "x_frame", "y_frame", "x_step", "y_step")),
        *((name, ctypes.c_int64) for name in ("inputs", "outputs", "width", "taps")),
        ("tap", ctypes.POINTER(Tap)),
        ("first", ctypes.POINTER(ctypes.c_int64)),
    ]


class Shape(NamedTuple):
    """A convolution along bands: `bands` in to `outputs` out, `width` taps, `stride` down or up. With several groups of
    `shared` outputs the weights of each come one after the other, as taps of their own."""

    bands: int
    outputs: int
    width: int
    stride: int = 1
    up: bool = False
    shared: int = 0  # 0: one group

    @property
    def weights(self) -> int:
        """All that a pair of channels has."""
        return self.width * (-(-self.outputs // self.shared) if self.shared else 1)

    def taps(self, flipped: bool = False) -> tuple[tuple[int, int, int], ...]:
        """(source, target, k), by target; `flipped` from outputs to inputs."""
        pad, (narrow, wide) = self.width // 2, sorted((self.bands, self.outputs))
        pairs = [
            (self.stride * i + k - pad, i, k + self._from(i))
            for i in range(narrow)
            for k in range(self.width)
            if 0 <= self.stride * i + k - pad < wide
        ]
        if self.up != flipped:
            pairs = [(i, j, k) for j, i, k in pairs]
        return tuple(sorted(pairs, key=lambda tap: tap[1]))

    def _from(self, output: int) -> int:
        return self.width * (output // self.shared) if self.shared else 0


@cache
def _taps(shape: Shape, flipped: bool, by_weight: bool) -> ctypes.Array[Tap]:
    found = shape.taps(flipped)
    if by_weight:
        found = tuple(sorted(found, key=lambda tap: tap[2]))
    assert {target for _, target, _ in found} == set(range(shape.bands if flipped else shape.outputs))
    return (Tap * len(found))(*(Tap(*tap) for tap in found))


@cache
def _first(blocks: int, outputs: int, inputs: int, groups: int) -> ctypes.Array[ctypes.c_int64]:
    """Where the inputs of each block of outputs begin, `outputs` and `inputs` of a group."""
    return (ctypes.c_int64 * blocks)(*(block * LANES // outputs % groups * inputs for block in range(blocks)))


def conv(
    shape: Shape, flipped: bool, x: Tensor, y: Tensor, groups: int, by_weight: bool = False, repeats: int = 1
) -> Conv:
    """From x (B, T, bands, I) to y (B, T, outputs, O), or back if `flipped`; both may skip channels.

    Taps go by their target; for the gradient of the weights, `by_weight`. The outputs of all groups may follow each
    other several times, `repeats`.
    """
    taps, (inputs, outputs) = _taps(shape, flipped, by_weight), (x.shape[3] // groups, y.shape[3])
    first = _first(-(-outputs // LANES), outputs // groups // repeats, inputs, groups)
    steps = (_frame(x), _frame(y), x.stride(2), y.stride(2))
    return Conv(x.shape[1], *steps, inputs, outputs, shape.weights, len(taps), taps, first)


def _frame(x: Tensor) -> int:
    """Floats from one frame to the next; from an item's last frame to the next item's first it must be as many."""
    batch, frames = x.shape[:2]
    frame = x.stride(1) if frames > 1 else x.stride(0)
    assert x.stride(3) == 1
    assert batch == 1 or x.stride(0) == frames * frame
    return frame


def blocks(weight: Tensor) -> Tensor:
    """(width, I, O) -> (O / 8, width, I, 8), filled up with zeros."""
    if missing := -weight.shape[2] % LANES:
        weight = functional.pad(weight, (0, missing))
    unflattened: Tensor = weight.unflatten(2, (-1, LANES))
    return unflattened.permute(2, 0, 1, 3)


def turned(weight: Tensor, groups: int) -> Tensor:
    """(width, I / groups, O) -> (width, O / groups, I)."""
    grouped: Tensor = weight.unflatten(2, (groups, -1))
    return grouped.permute(0, 3, 2, 1).flatten(2)
