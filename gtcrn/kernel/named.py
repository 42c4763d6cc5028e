"""A checkpoint's weights by their names, in double precision, each convolution with the normalisation after it."""

import numpy as np
from numpy.typing import NDArray

from gtcrn.checkpoint import Checkpoint
from gtcrn.errors import CheckpointError

Array = NDArray[np.float64]

LANES = 8  # floats in a vector of the kernel
PARTS, SHARED = 3, 12  # of the width, with weights of their own in the kernel; bands of each
NORM_EPS = 1e-5  # of torch.nn.BatchNorm2d


class Weights:
    """The weights whose names begin with a prefix, in double precision."""

    def __init__(self, checkpoint: Checkpoint, prefix: str) -> None:
        self.checkpoint, self.prefix = checkpoint, prefix
        self.config, self.channels = checkpoint.config, checkpoint.config.channels
        self.group = self.channels // checkpoint.config.groups

    def below(self, name: str) -> "Weights":
        return Weights(self.checkpoint, f"{self.prefix}{name}.")

    def get(self, name: str, *shape: int) -> Array:
        name = self.prefix + name
        if name not in self.checkpoint.weights:
            raise CheckpointError(f"the weights lack {name!r}.")
        value = self.checkpoint.weights[name]
        if value.shape != shape:
            raise CheckpointError(f"{name!r} has shape {value.shape}, not {shape}.")
        return value.astype(np.float64)

    def slope(self, activation: str) -> Array:
        """The factors of x and |x| that make a PReLU, once a lane."""
        slope = self.get(f"{activation}.weight", 1)
        return np.repeat([(1 + slope) / 2, (1 - slope) / 2], LANES)

    def linear(self, name: str, outputs: int, inputs: int) -> tuple[Array, Array]:
        return self.get(f"{name}.weight", outputs, inputs), self.get(f"{name}.bias", outputs)

    def conv(self, name: str, norm: str, *shape: int) -> tuple[Array, Array]:
        """A convolution's weight (outputs first) and bias, the batch normalisation after it included."""
        weight = self.get(f"{name}.weight", *shape)
        return self._normed(norm, weight, self.get(f"{name}.bias", shape[0]))

    def parts(self, name: str, *shape: int) -> Array:
        """A weight for each part of the width, (PARTS, *shape), the same for all where the bands share it."""
        groups = self.config.band_groups
        value = self.get(name, *((groups,) if groups > 1 else ()), *shape)
        return np.array(np.broadcast_to(value, (PARTS, *shape)))

    def conv_parts(self, name: str, norm: str, *shape: int) -> tuple[Array, Array]:
        """Weights (PARTS, *shape) and the one bias of a convolution whose bands may share them in parts only."""
        weights, bias = self.parts(f"{name}.weight", *shape), self.get(f"{name}.bias", shape[0])
        scaled = [self._normed(norm, weight, bias) for weight in weights]
        return np.stack([weight for weight, _ in scaled]), scaled[0][1]

    def conv_transposed(self, name: str, norm: str, groups: int, *shape: int) -> tuple[Array, Array]:
        """The same for a transposed convolution, whose weight comes inputs first: (outputs, inputs of a group, ...)."""
        inputs, outputs, *kernel = shape
        weight = self.get(f"{name}.weight", *shape).reshape(groups, inputs // groups, outputs, *kernel)
        weight = weight.swapaxes(1, 2).reshape(groups * outputs, inputs // groups, *kernel)
        return self._normed(norm, weight, self.get(f"{name}.bias", groups * outputs))

    def _normed(self, norm: str, weight: Array, bias: Array) -> tuple[Array, Array]:
        n = len(bias)
        scale = self.get(f"{norm}.weight", n) / np.sqrt(self.get(f"{norm}.running_var", n) + NORM_EPS)
        bias = (bias - self.get(f"{norm}.running_mean", n)) * scale + self.get(f"{norm}.bias", n)
        return weight * scale.reshape(-1, *[1] * (weight.ndim - 1)), bias
