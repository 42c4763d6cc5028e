"""Layers with weights of their own for each group of neighbouring bands: parameters that cost no MACs.

UL-UNAS (2025) and CoFi-Lite (2026) get further by such; here the groups are as few as let a kernel keep their weights.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gtcrn.config import GTCRNConfig


def group_sizes(width: int, shared: int) -> list[int]:
    """Bands of each group: `shared`, the last what is left; one group where that is 0."""
    return [min(shared, width - start) for start in range(0, width, shared)] if shared else [width]


class BandConv(nn.Module):
    """Convolution (1, k) along frequency with weights of their own for each `shared` bands of the output.

    They cost parameters, but no MACs. (B, C_in, T, F) -> (B, C_out, T, F); weight (groups, C_out, C_in, 1, k), and one
    bias for all.
    """

    def __init__(self, inputs: int, outputs: int, width: int, groups: int, shared: int) -> None:
        super().__init__()
        self.shared = shared
        self.weight = nn.Parameter(torch.empty(groups, outputs, inputs, 1, width))
        self.bias = nn.Parameter(torch.empty(outputs))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -((inputs * width) ** -0.5), (inputs * width) ** -0.5)  # as nn.Conv2d's

    def forward(self, x: Tensor) -> Tensor:
        reach, sizes = self.weight.shape[-1] // 2, group_sizes(x.shape[-1], self.shared)
        x = functional.pad(x, (reach, reach))
        parts = [x[..., self.shared * i :][..., : size + 2 * reach] for i, size in enumerate(sizes)]
        outputs = [functional.conv2d(part, w, self.bias) for part, w in zip(parts, self.weight, strict=True)]
        return torch.cat(outputs, dim=-1)


class BandLinear(nn.Module):
    """The same without neighbours: (..., F, C_in) -> (..., F, C_out); weight (groups, C_out, C_in)."""

    def __init__(self, inputs: int, outputs: int, groups: int, shared: int) -> None:
        super().__init__()
        self.shared = shared
        self.weight = nn.Parameter(torch.empty(groups, outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(inputs**-0.5), inputs**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(x.split(group_sizes(x.shape[-2], self.shared), dim=-2), self.weight, strict=True)
        return torch.cat([functional.linear(part, weight, self.bias) for part, weight in parts], dim=-2)


class Bands(NamedTuple):
    """How the width is cut into groups of neighbouring bands with weights of their own."""

    groups: int
    shared: int  # bands of a group, 0 where there is one

    @classmethod
    def of(cls, config: GTCRNConfig) -> "Bands":
        return cls(config.band_groups, config.shared_bands if config.band_groups > 1 else 0)

    @property
    def sets(self) -> tuple[int, ...]:
        """The first dimension of weights."""
        return (self.groups,) if self.shared else ()

    def conv(self, inputs: int, outputs: int, width: int) -> nn.Module:
        if self.shared:
            return BandConv(inputs, outputs, width, *self)
        return nn.Conv2d(inputs, outputs, (1, width), padding=(0, width // 2))

    def linear(self, inputs: int, outputs: int) -> nn.Module:
        return BandLinear(inputs, outputs, *self) if self.shared else nn.Linear(inputs, outputs)


ALIKE = Bands(1, 0)  # one group
