"""The compiled layers' library and how to call it."""

import ctypes
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from gtcrn.errors import GtcrnError
from gtcrn.kernel import INSTRUCTIONS

VERSION = 8  # of the functions' arguments; layers.h has the same
SETS = ("avx512", "avx2", "base")  # of instructions, each with what is behind it


def is_built() -> bool:
    """Whether the shared library was compiled with the package."""
    return _place() is not None


@cache
def _place() -> str | None:
    """The file of the library for this processor, or for one that can do less: a compiler may refuse some."""
    for instructions in SETS[SETS.index(INSTRUCTIONS) :]:
        found = find_spec(f"gtcrn_recipes.native._layers_{instructions}")
        if found is not None and found.origin is not None:
            return found.origin
    return None


@cache
def _library() -> ctypes.CDLL:
    place = _place()
    if place is None:
        raise GtcrnError("the compiled training layers are missing: install the package where a C compiler is.")
    library = ctypes.CDLL(place)
    try:
        version = ctypes.c_int.in_dll(library, "layers_version").value
    except ValueError:  # from before it was noted
        version = 1
    if version != VERSION:
        raise GtcrnError("the compiled training layers are of another version: install the package again.")
    return library


def call(name: str, *arguments: Tensor | int | ctypes.Structure | ctypes.Array[Any] | None) -> None:
    """Call a function of the library; tensors as pointers to their first number."""
    getattr(_library(), name)(*map(_argument, arguments))


def address(name: str) -> int:
    """Of a function of the library."""
    return int(ctypes.cast(getattr(_library(), name), ctypes.c_void_p).value or 0)


def read(name: str, argument: int | ctypes.Structure) -> int:
    """A number that depends on the argument."""
    function = getattr(_library(), name)
    function.restype = ctypes.c_int64
    return int(function(_argument(argument)))


def use_threads(count: int) -> int:
    """Let the layers share the items of a batch among this many threads, the caller's included; how many there are."""
    return int(_library().use_threads(ctypes.c_int(count)))


def _argument(value: Any) -> Any:
    if isinstance(value, Tensor):
        if value.dtype != torch.float32 or value.device.type != "cpu":
            raise TypeError(f"the compiled layers take float32 on the CPU, not {value.dtype} on {value.device}.")
        return ctypes.c_void_p(value.data_ptr())
    if isinstance(value, ctypes.Structure):
        return ctypes.byref(value)
    return value if value is None or isinstance(value, ctypes.Array) else ctypes.c_int64(value)
