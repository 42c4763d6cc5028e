"""Several processes: how they find each other anew, and batch normalisation over all of their batches, on any device.

Torch's own normalisation over processes works on GPUs only.
"""

import os
from typing import cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # public, not declared so
from torch.distributed.nn.functional import all_reduce


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose statistics in training are those of the whole batch; same parameters and buffers."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        world, input = distributed.get_world_size(), input.float()  # as torch's own under mixed precision
        moments = torch.stack((input.mean((0, 2, 3)), input.square().mean((0, 2, 3))))
        mean, square = (cast(Tensor, all_reduce(moments)) / world).unbind()
        variance = (square - mean.square()).clamp(min=0)  # which rounding can bring below
        track(self, mean.detach(), variance.detach(), world * input.numel() // input.shape[1])
        scale = self.weight * (variance + self.eps).rsqrt()
        return input * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]


def track(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """Move the running statistics towards those of a batch, `variance` biased, over `count` values a channel."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    norm.num_batches_tracked += 1
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance * (count / (count - 1)), norm.momentum)


def synchronise_norms(module: nn.Module) -> nn.Module:
    """Turn every BatchNorm2d of a model into one that is synchronised; weights and statistics stay."""
    for child in module.modules():
        if type(child) is nn.BatchNorm2d:
            child.__class__ = SyncedBatchNorm2d
    return module


def restarts() -> int:
    """How often torchrun has started all processes of this run anew."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))


def join_anew(device: torch.device) -> None:
    """Form the group of processes under keys of this attempt.

    torchrun's agent shares its store with every attempt, and torch's own way reads there where the processes of the
    last one were to be reached.
    """
    place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = PrefixStore(f"attempt {restarts()}", TCPStore(*place))
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size)
