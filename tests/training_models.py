"""A network as training begins with it, but for what is one or nought there."""

from dataclasses import replace

import torch

from gtcrn.config import GTCRNConfig
from gtcrn.network.model import GTCRN


def make_model(channels: int, shared_bands: int = 0, paths: int = 2, input_exponent: float = 0.25) -> GTCRN:
    torch.manual_seed(0)
    config = GTCRNConfig(channels=channels, shared_bands=shared_bands, dual_path_blocks=paths)
    model = GTCRN(replace(config, input_exponent=input_exponent))
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))  # no gain of one, no bias of nought
    return model.train()
