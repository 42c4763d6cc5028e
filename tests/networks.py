"""Networks for tests: random weights with random statistics, so that nothing passes by being zero or one."""

import torch
from torch import nn

from gtcrn.config import GTCRNConfig
from gtcrn.network.model import GTCRN


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Random normalisation statistics and gains, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0, generator=generator)
        elif name.endswith("running_mean") or (name.endswith("bias") and "norm" in name):
            tensor.normal_(0, 0.2, generator=generator)
        elif name.endswith("weight") and "norm" in name:
            tensor.uniform_(0.5, 1.5, generator=generator)
    return module.eval()


def random_network(seed: int = 0, config: GTCRNConfig | None = None) -> GTCRN:
    """A network of the published size with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = GTCRN(config)
    randomise(network, seed)
    return network
