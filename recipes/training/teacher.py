"""A finished network that teaches another one by what it makes of the same noisy items (Hinton et al., "Distilling the
Knowledge in a Neural Network", 2015): what a small network cannot reach anyway is gone from such a target.
"""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gtcrn import checkpoint
from gtcrn.config import SAMPLE_RATE
from gtcrn.denoiser import load, weights_file
from gtcrn.errors import ConfigError
from gtcrn_recipes.training.enhance import enhance
from gtcrn_recipes.training.losses import Compared


class Lesson(NamedTuple):
    """What a step learns from; dimension 0 of each field is the item."""

    noisy: Tensor  # (B, N)
    clean: Tensor  # (B, N)
    taught: Tensor | None = None  # (B, N) what the teacher makes of `noisy`, if there is one


class Teacher:
    """Weights, a file or shipped ones, that enhance the items of a batch: on a CPU by the kernel, if it serves them.

    Raises CheckpointError or ConfigError for weights that cannot be used.
    """

    def __init__(self, weights: str, device: torch.device) -> None:
        self._enhance = _enhancer(weights, device)

    def __call__(self, noisy: Tensor) -> Tensor:
        """(B, N) -> (B, N)."""
        with torch.no_grad():
            return self._enhance(noisy)


def _enhancer(weights: str, device: torch.device) -> Callable[[Tensor], Tensor]:
    if device.type == "cpu":
        with contextlib.suppress(ConfigError):  # a network that no kernel is compiled for
            return _by_kernel(weights)
    return _by_torch(weights, device)


def _by_kernel(weights: str) -> Callable[[Tensor], Tensor]:
    denoiser = load(weights)
    return lambda noisy: torch.from_numpy(np.stack([denoiser(item, SAMPLE_RATE) for item in noisy.numpy()]))


def _by_torch(weights: str, device: torch.device) -> Callable[[Tensor], Tensor]:
    model = checkpoint.to_model(checkpoint.read(weights_file(weights))).to(device)
    return lambda noisy: enhance(model, noisy).audio


def blended(own: Compared, taught: Compared, share: float) -> Compared:
    """The loss against the clean items, and `share` of it against the teacher's, a term of its own."""
    terms = {name: (1 - share) * term for name, term in own.terms.items()}
    total = (1 - share) * own.total + share * taught.total  # either may be a double, as torch's PESQ term is
    return Compared(total, {**terms, "teacher": share * taught.total})
