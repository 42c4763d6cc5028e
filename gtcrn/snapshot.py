"""A stream's state as bytes: a safetensors block, its arrays by name and the rest as JSON; nothing is pickled."""

import json
from dataclasses import fields
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from gtcrn.errors import AudioError

VERSION = 1
_ABOUT = "about"  # name of the array that holds the JSON text


def pack(state: Any, about: dict[str, Any]) -> bytes:
    """Bytes of a dataclass whose fields are arrays, numbers or named tuples of them, with facts `about` it."""
    values: dict[str, Any] = {}
    for field in fields(state):
        _flatten(field.name, getattr(state, field.name), values)
    arrays = {name: np.ascontiguousarray(value) for name, value in values.items() if isinstance(value, np.ndarray)}
    plain = {name: value for name, value in values.items() if name not in arrays}
    text = json.dumps({"version": VERSION, "about": about, "plain": plain}).encode()
    return save({**arrays, _ABOUT: np.frombuffer(text, np.uint8)})


def about(snapshot: bytes) -> dict[str, Any]:
    """The facts given to `pack`. Raises AudioError for bytes that are no snapshot, or one of another version."""
    found: dict[str, Any] = _parse(snapshot)[1]["about"]
    return found


def unpack(snapshot: bytes, state: Any) -> None:
    """Set every field of `state`, a new one of the same form, to what `pack` was given."""
    arrays, header = _parse(snapshot)
    values = {**arrays, **header["plain"]}
    for field in fields(state):
        setattr(state, field.name, _fill(field.name, getattr(state, field.name), values))


def _parse(snapshot: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        arrays = load(snapshot)
        header = json.loads(arrays.pop(_ABOUT).tobytes())
        version = header["version"]
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise AudioError("the bytes are not the snapshot of a stream, or are damaged.") from error
    if version != VERSION:
        raise AudioError(f"the snapshot has version {version}; this version reads {VERSION}.")
    return arrays, header


def _flatten(name: str, value: Any, values: dict[str, Any]) -> None:
    if not hasattr(value, "_fields"):
        values[name] = value
        return
    for part in value._fields:
        _flatten(f"{name}.{part}", getattr(value, part), values)


def _fill(name: str, template: Any, values: dict[str, Any]) -> Any:
    if hasattr(template, "_fields"):
        return template._make(_fill(f"{name}.{part}", getattr(template, part), values) for part in template._fields)
    return values[name].copy() if isinstance(template, np.ndarray) else values[name]
