"""Weights as data: a safetensors file whose metadata says format version, configuration and where it comes from.

Reading needs numpy only. Nothing is unpickled, but for published checkpoints through torch's weights-only loader.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gtcrn.audio.place import reason_of, whole
from gtcrn.config import GTCRNConfig
from gtcrn.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from gtcrn.network.model import GTCRN

FORMAT_VERSION = 1
MAX_BYTES = 1 << 28  # of a weights file, however it is packed
MAX_JSON = 1 << 20  # characters of its configuration, and of its card


@dataclass(frozen=True)
class Checkpoint:
    """Weights by name (float32), the configuration they belong to, and a card (data, licence, metrics, ...)."""

    config: GTCRNConfig
    weights: dict[str, NDArray[np.float32]]
    card: dict[str, Any] = field(default_factory=dict)


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a safetensors file, or a published `.tar` where torch is installed.

    Raises CheckpointError for a file that is missing, damaged, foreign or of another format version, and for weights
    that are not finite or not possible.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no weights at {path}.")
    try:
        path.open("rb").close()  # libraries say otherwise why they cannot
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {reason_of(error)}") from error
    if path.stat().st_size > MAX_BYTES:
        raise CheckpointError(f"{path.name} is larger than any weights of this network.")
    if path.suffix == ".tar":
        from gtcrn.network.published import read_published

        checkpoint = Checkpoint(GTCRNConfig(), read_published(path), {"name": path.stem})
    else:
        checkpoint = _read_safetensors(path)
    _check_values(checkpoint.weights, path)
    return checkpoint


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="numpy") as file:
            config, card = _parse(file.metadata() or {}, path)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, AttributeError, TypeError, ValueError) as error:  # numbers unknown to numpy, too
        raise CheckpointError(f"{path.name} is damaged or not a safetensors file.") from error
    return Checkpoint(config, weights, card)


def _check_values(weights: dict[str, NDArray[Any]], path: Path) -> None:
    for name, value in weights.items():
        if value.dtype != np.float32:
            raise CheckpointError(f"{name!r} in {path.name} is of {value.dtype}, not float32.")
        if not np.isfinite(value).all():
            raise CheckpointError(f"{name!r} in {path.name} is not finite.")
        if name.endswith("running_var") and (value < 0).any():
            raise CheckpointError(f"{name!r} in {path.name} is a variance below zero.")


def _parse(metadata: dict[str, str], path: Path) -> tuple[GTCRNConfig, dict[str, Any]]:
    if "gtcrn_format" not in metadata:
        raise CheckpointError(f"{path.name} holds no gtcrn weights: its metadata names no gtcrn_format.")
    if metadata["gtcrn_format"] != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{path.name} has format version {metadata['gtcrn_format']}; this version reads {FORMAT_VERSION}."
        )
    try:
        config, card = (_mapping(metadata.get(name, "{}")) for name in ("config", "card"))
        return GTCRNConfig.from_dict(config), card
    except (ValueError, TypeError, RecursionError, ConfigError) as error:
        raise CheckpointError(f"{path.name} has an unusable configuration: {str(error).rstrip('.')}.") from error


def _mapping(text: str) -> dict[str, Any]:
    if len(text) > MAX_JSON:
        raise ValueError(f"it has more than {MAX_JSON} characters.")
    if not isinstance(value := json.loads(text), dict):
        raise TypeError("it is no JSON object.")
    return value


def write(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write atomically: the file is complete or not there. Raises GtcrnError where it cannot be written."""
    metadata = {
        "gtcrn_format": str(FORMAT_VERSION),
        "config": json.dumps(checkpoint.config.to_dict()),
        "card": json.dumps(checkpoint.card),
    }
    weights = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in checkpoint.weights.items()}
    with whole(path) as file:
        file.write(save(weights, metadata))


def from_model(model: "GTCRN", card: dict[str, Any] | None = None) -> Checkpoint:
    """The weights of a torch model, copied."""
    state = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    return Checkpoint(model.config, {k: v.detach().cpu().float().numpy().copy() for k, v in state.items()}, card or {})


def to_model(checkpoint: Checkpoint) -> "GTCRN":
    """A torch model with these weights, in evaluation mode. Raises CheckpointError when a weight is missing or odd."""
    import torch

    from gtcrn.network.model import GTCRN

    model = GTCRN(checkpoint.config)
    wanted = {k: v.shape for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    check_shapes(checkpoint, {k: tuple(v) for k, v in wanted.items()})
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in checkpoint.weights.items()}
    model.load_state_dict(tensors, strict=False)
    return model.eval()


def check_shapes(checkpoint: Checkpoint, wanted: dict[str, tuple[int, ...]]) -> None:
    """Refuse weights that are missing, unknown or of another shape, naming the first."""
    for name in sorted(set(wanted) ^ set(checkpoint.weights)):
        raise CheckpointError(f"the weights {'lack' if name in wanted else 'have an unknown'} {name!r}.")
    for name, shape in wanted.items():
        if checkpoint.weights[name].shape != shape:
            raise CheckpointError(f"{name!r} has shape {checkpoint.weights[name].shape}, not {shape}.")
