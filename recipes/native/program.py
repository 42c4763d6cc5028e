"""Programs of compiled layers: written down once for a batch's shape, run forward and backward by one call each.

A layer (layers.py) writes its operation and leaves word of what its way back will write. Weights are gathered from one
flat vector of all parameters by maps of places, and their gradients scattered to another by the same maps: whatever
order a layer wants, and zeros, are in the map.
"""

import ctypes
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gtcrn_recipes.native.library import address, call

Numbers = tuple[int, ...]


class Operation(ctypes.Structure):
    """`operation` of program.h."""

    _fields_ = [
        ("run", ctypes.c_void_p),
        ("shape", ctypes.c_void_p),
        ("p", ctypes.c_void_p * 8),
        ("n", ctypes.c_int64 * 3),
        ("whole", ctypes.c_int64),
    ]


class Value:
    """A tensor between two layers, and its gradient while the way back is written."""

    def __init__(self, data: Tensor, wanted: bool = True) -> None:
        self.data, self.wanted = data, wanted  # wanted: whether its gradient is
        self.gradient: Tensor | None = None
        self.destination: Callable[[], Tensor] | None = None  # where its gradient goes, if it is a part of another's


class Parameters:
    """All parameters in one vector, and their gradients in another."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.sizes = [p.numel() for p in self.parameters]
        self.flat, self.gradient = torch.zeros(2, sum(self.sizes))
        ends = torch.tensor(self.sizes).cumsum(0).tolist()
        starts = (end - size for end, size in zip(ends, self.sizes, strict=True))
        self._start = {id(p): start for p, start in zip(self.parameters, starts, strict=True)}

    def places(self, parameter: Tensor) -> Tensor:
        """1 + the place of each number, like the parameter; 0 means none."""
        start = self._start[id(parameter)]
        return torch.arange(start + 1, start + 1 + parameter.numel()).view(parameter.shape)

    def here(self, parameter: Tensor) -> Tensor:
        """The parameter's part of the flat vector."""
        return self._part(self.flat, parameter)

    def gradient_here(self, parameter: Tensor) -> Tensor:
        return self._part(self.gradient, parameter)

    def _part(self, flat: Tensor, parameter: Tensor) -> Tensor:
        start = self._start[id(parameter)]
        return flat[start : start + parameter.numel()]

    def gather(self, values: Sequence[Tensor]) -> None:
        torch.cat([v.detach().reshape(-1) for v in values], out=self.flat)

    def gradients(self) -> list[Tensor]:
        """A copy, like the parameters."""
        parts = self.gradient.clone().split(self.sizes)
        return [part.view(p.shape) for part, p in zip(parts, self.parameters, strict=True)]


class Program:
    """The operations of a network for batches of one shape, and the memory that they share."""

    def __init__(self, parameters: Parameters, items: int) -> None:
        self.parameters, self.items = parameters, items
        self._gathers: list[Operation] = []  # first of all, and scatters last: no layer waits for the whole batch
        self._forward: list[Operation] = []
        self._backward: list[Operation] = []
        self._scatters: list[Operation] = []
        self._way_back: list[Callable[[], None]] = []
        self._kept: list[Any] = []  # what operations point to
        self._free: dict[int, list[Tensor]] = {}
        self._users: dict[int, int] = {}

    def room(self, *shape: int) -> Tensor:
        """Memory of its own."""
        memory = torch.zeros(shape)
        self._kept.append(memory)
        return memory

    def pointers(self, tensors: Sequence[Tensor]) -> list[int]:
        """Where tensors are, whose memory stays while the program is."""
        self._kept.extend(tensors)
        return [t.data_ptr() for t in tensors]

    def forward(
        self, name: str, shape: ctypes.Structure | None, *tensors: Tensor | None, n: Numbers = (), whole: bool = False
    ) -> None:
        """Go on with an operation of program.h, on each item by itself or on the whole batch."""
        self._forward.append(self._operation(name, shape, tensors, n, whole))

    def backward(
        self, name: str, shape: ctypes.Structure | None, *tensors: Tensor | None, n: Numbers = (), whole: bool = False
    ) -> None:
        self._backward.append(self._operation(name, shape, tensors, n, whole))

    def _operation(
        self, name: str, shape: ctypes.Structure | None, tensors: tuple[Tensor | None, ...], n: Numbers, whole: bool
    ) -> Operation:
        self._kept.extend((shape, tensors))
        pointers = (ctypes.c_void_p * 8)(*(None if t is None else t.data_ptr() for t in tensors))
        where = None if shape is None else ctypes.addressof(shape)
        return Operation(address(f"run_{name}"), where, pointers, (ctypes.c_int64 * 3)(*n), whole)

    def gathered(self, places: Tensor) -> Tensor:
        """Weights in the order of `places`, fresh in each run."""
        order, to = places.contiguous().clone(), self.room(*places.shape)
        tensors = (order, self.parameters.flat, to)
        self._gathers.append(self._operation("gather", None, tensors, (order.numel(),), whole=True))
        return to

    def scattered(self, places: Tensor) -> Tensor:
        """Where each item's gradients go, (items, *places.shape); at the end they add to those of the parameters."""
        order, total = places.contiguous().clone(), self.room(self.items, *places.shape)
        tensors, n = (order, total, self.parameters.gradient), (order.numel(), self.items)
        self._scatters.append(self._operation("scatter", None, tensors, n, whole=True))
        return total

    def on_the_way_back(self, write: Callable[[], None]) -> None:
        """Have `write` called, the last first, when all of the way forward is written."""
        self._way_back.append(write)

    def finish(self) -> None:
        for write in reversed(self._way_back):
            write()
        ways = (self._gathers + self._forward, self._backward + self._scatters)
        self._programs = [(Operation * len(way))(*way) for way in ways]

    def run_forward(self) -> None:
        call("run", self._programs[0], len(self._programs[0]), self.items)

    def run_backward(self) -> None:
        self.parameters.gradient.zero_()
        call("run", self._programs[1], len(self._programs[1]), self.items)

    # gradients: memory that goes from one to the next

    def acquire(self, *shape: int) -> Tensor:
        """Memory for a gradient; who consumes it releases it."""
        found = self._free.setdefault(math.prod(shape), [])
        memory = found.pop() if found else self.room(math.prod(shape))
        self._users[memory.data_ptr()] = 1
        return memory.view(shape)

    def share(self, memory: Tensor) -> Tensor:
        self._users[memory.data_ptr()] += 1
        return memory

    def is_shared(self, memory: Tensor) -> bool:
        return self._users[memory.data_ptr()] > 1

    def release(self, memory: Tensor) -> None:
        self._users[memory.data_ptr()] -= 1
        if not self._users[memory.data_ptr()]:
            self._free[memory.numel()].append(memory.view(-1))

    def destination(self, value: Value) -> Tensor:
        """Where a layer writes the gradient of its input, before it contributes it."""
        return value.destination() if value.destination else self.acquire(*value.data.shape)

    def contribute(self, value: Value, gradient: Tensor) -> None:
        """Hand over a gradient of a value; several are added up. That of a part belongs to the whole's."""
        if value.destination:
            return
        if value.gradient is not None:
            other = value.gradient
            total = gradient if not self.is_shared(gradient) else self.acquire(*gradient.shape)
            self.backward("add", None, gradient, other, total, n=(total[0].numel(),))
            self.release(other)
            if total is not gradient:
                self.release(gradient)
            gradient = total
        value.gradient = gradient

    def consume(self, value: Value) -> Tensor:
        """The gradient of a value, complete; the caller releases it."""
        assert value.gradient is not None
        gradient, value.gradient = value.gradient, None
        return gradient
