"""GRUs of a `Program`, along the frames or the bands."""

import ctypes
import math
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from gtcrn_recipes.native.convolution import LANES, Shape, conv
from gtcrn_recipes.native.layers import outer
from gtcrn_recipes.native.program import Program, Value

GATES, SAVED = 3, 5  # as in recurrence.h


class Sequences(ctypes.Structure):
    """`recurrence` of recurrence.h: which positions of a (B, T, F, ...) tensor follow each other."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("sequences", "steps", "step", "units", "span")),
        ("start", ctypes.c_void_p),
        ("directions", ctypes.c_int64),
    ]


@cache
def _starts(batch: int, frames: int, bands: int, along_bands: bool, shared: int) -> tuple[Tensor, ...]:
    """Where the sequences of each group begin, item by item."""
    places = torch.arange(batch * frames * bands).view(batch, frames, bands)
    first = places[:, :, 0] if along_bands else places[:, 0]
    return tuple(part.flatten().contiguous() for part in first.split(shared or first.shape[1], dim=1))


class Cells(NamedTuple):
    """GRUs side by side: `units` of all, `cell` of one; along bands the second half of them goes backwards, along
    frames each `shared` bands have weights of their own (0: one group)."""

    units: int
    cell: int
    along_bands: bool
    shared: int = 0

    @property
    def span(self) -> int:
        """Units within which the state of a vector of units depends: of whole cells and whole vectors."""
        return math.lcm(self.cell, LANES)

    def sequences(self, shape: torch.Size) -> list[Sequences]:
        """Of each group of bands."""
        batch, frames, bands = shape[:3]
        steps, step = (bands, 1) if self.along_bands else (frames, bands)
        rest, directions = (steps, step, self.units, self.span), 2 if self.along_bands else 1
        starts = _starts(batch, frames, bands, self.along_bands, self.shared)
        return [Sequences(len(start) // batch, *rest, start.data_ptr(), directions) for start in starts]


def recurrence(program: Program, x: Value, weight: Tensor, bias: Tensor, cells: Cells) -> Value:
    """GRUs from zero: inputs x (B, T, F, 3 U), weight (3 U, U), none between the cells, or one after the other those of
    groups of bands, and bias (3 U) of the hidden state, gates r, z, n -> (B, T, F, U)."""
    y = Value(program.room(*x.data.shape[:3], cells.units))
    orders, weights = cells.sequences(x.data.shape), weight.view(-1, GATES, cells.units, cells.units)
    groups = [_Group(program, x.data, y.data, *both, bias, cells) for both in zip(orders, weights, strict=True)]

    def write() -> None:
        dy, dx = program.consume(y), program.destination(x)
        for group in groups:
            group.backward(dy, dx)
        program.release(dy)
        program.contribute(x, dx)

    program.on_the_way_back(write)
    return y


class _Group:
    """The sequences of a group of bands, with weight (3, U, U)."""

    def __init__(
        self, program: Program, x: Tensor, y: Tensor, order: Sequences, weight: Tensor, bias: Tensor, cells: Cells
    ) -> None:
        self.program, self.order, self.weight, self.bias, self.cells = program, order, weight, bias, cells
        self.saved = program.room(len(x), order.sequences * order.steps, SAVED, cells.units)
        forth, offsets = program.gathered(weight.permute(2, 0, 1)), program.gathered(bias)
        self.back = program.gathered(weight)
        program.forward("recurrence", order, x, forth, offsets, y, self.saved)

    def backward(self, dy: Tensor, dx: Tensor) -> None:
        units, span = self.cells.units, self.cells.span
        self.program.backward("recurrence_backward", self.order, dy, self.back, self.saved, dx)
        gates, before = self.saved.flatten(2)[:, :, None, : GATES * units], self.saved[:, :, None, SAVED - 1]
        to = torch.arange(units)
        dense = self.weight[:, to, to // span * span + torch.arange(span)[:, None]]  # (3, span, U)
        taps = conv(Shape(1, 1, 1), False, before, gates, units // span, by_weight=True, repeats=GATES)
        outer(self.program, taps, before, gates, dense.transpose(0, 1).flatten(1)[None], self.bias)
