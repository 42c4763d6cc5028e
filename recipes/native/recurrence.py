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
        counts = (len(start) // batch, steps, step, self.units, self.span)
        return Sequences(*counts, start.data_ptr(), 2 if self.along_bands else 1)


def recurrence(program: Program, x: Value, weight: Tensor, bias: Tensor, cells: Cells) -> Value:
    """GRUs from zero: inputs x (B, T, F, 3 U), weight (3 U, U), none between the cells, and bias (3 U) of the hidden
    state, gates r, z, n -> (B, T, F, U)."""
    order, units = cells.sequences(x.data.shape), cells.units
    y = Value(program.room(*x.data.shape[:3], units))
    saved = program.room(len(x.data), order.sequences * order.steps, SAVED, units)
    weight = weight.view(GATES, units, units)
    forth, back = program.gathered(weight.permute(2, 0, 1)), program.gathered(weight)
    program.forward("recurrence", order, x.data, forth, program.gathered(bias), y.data, saved)

    def write() -> None:
        dy, dx = program.consume(y), program.destination(x)
        program.backward("recurrence_backward", order, dy, back, saved, dx)
        program.release(dy)
        gates, before = saved.flatten(2)[:, :, None, : GATES * units], saved[:, :, None, SAVED - 1]
        to = torch.arange(units)
        dense = weight[:, to, to // cells.span * cells.span + torch.arange(cells.span)[:, None]]  # (3, span, U)
        taps = conv(Shape(1, 1, 1), False, before, gates, units // cells.span, by_weight=True, repeats=GATES)
        outer(program, taps, before, gates, dense.transpose(0, 1).flatten(1)[None], bias)
        program.contribute(x, dx)

    program.on_the_way_back(write)
    return y
