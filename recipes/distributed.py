"""Batch normalisation over the batches of all processes, on any device (torch's own does so on GPUs only)."""

from typing import cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose statistics in training are those of the whole batch; same parameters and buffers."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        world = distributed.get_world_size()
        moments = torch.stack((input.mean((0, 2, 3)), input.square().mean((0, 2, 3))))
        mean, square = (cast(Tensor, all_reduce(moments)) / world).unbind()
        variance = square - mean.square()
        self._track(mean.detach(), variance.detach(), world * input.numel() // input.shape[1])
        scale = self.weight * (variance + self.eps).rsqrt()
        return input * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]

    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        momentum = self.momentum or 0.1
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), momentum)


def synchronise_norms(module: nn.Module) -> nn.Module:
    """Turn every BatchNorm2d of a model into one that is synchronised; weights and statistics stay."""
    for child in module.modules():
        if type(child) is nn.BatchNorm2d:
            child.__class__ = SyncedBatchNorm2d
    return module
