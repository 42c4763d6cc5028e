"""The compiled layers' library and how to call it."""

import ctypes
from functools import cache
from importlib.util import find_spec
from typing import Any

from torch import Tensor


@cache
def _library() -> ctypes.CDLL:
    found = find_spec("gtcrn_recipes.native._layers")
    assert found is not None
    return ctypes.CDLL(found.origin)


def is_built() -> bool:
    """Whether the shared library was compiled with the package."""
    return find_spec("gtcrn_recipes.native._layers") is not None


def call(name: str, *arguments: Tensor | int | float | ctypes.Structure) -> None:
    getattr(_library(), name)(*map(_argument, arguments))


def _argument(value: Any) -> Any:
    if isinstance(value, Tensor):
        return ctypes.c_void_p(value.data_ptr())
    if isinstance(value, ctypes.Structure):
        return ctypes.byref(value)
    return ctypes.c_long(value) if isinstance(value, int) else ctypes.c_float(value)
