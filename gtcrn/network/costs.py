"""What each layer costs: learned parameters and multiply-accumulates (MAC) a second of audio.

Counted are the products of convolutions, linear layers, recurrent matrices and the ERB matrices' nonzero entries;
not counted are element-wise operations (normalisation, activations, gates, mask) and the Fourier transform.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from gtcrn.config import GTCRNConfig
from gtcrn.network.bands import BandConv, BandLinear
from gtcrn.network.layers import DepthwiseSeparableConv, GroupedGRU
from gtcrn.network.model import GTCRN


@dataclass(frozen=True)
class LayerCost:
    """One row of the report; `standard_*` are what a standard convolution would need in a separable pair's place."""

    name: str
    kind: str
    parameters: int
    macs: float  # a second
    standard_weights: int | None = None
    standard_macs: float | None = None


def separable_weights(inputs: int, outputs: int, kernel: int) -> int:
    """Weights without biases of a depthwise and a pointwise convolution: C_in k^2 + C_in C_out."""
    return inputs * kernel**2 + inputs * outputs


def standard_weights(inputs: int, outputs: int, kernel: int) -> int:
    """Weights without biases of a standard convolution: C_in C_out k^2."""
    return inputs * outputs * kernel**2


def costs(config: GTCRNConfig | None = None) -> list[LayerCost]:
    """The cost of every layer with parameters, in the order of the signal, then the ERB matrices."""
    model = GTCRN(config).eval()
    rows: list[LayerCost] = []
    handles = [module.register_forward_hook(_recorder(name, model.config, rows)) for name, module in _leaves(model)]
    with torch.no_grad():
        model(torch.zeros(1, 2, 1, model.config.spectral.bins), model.initial_state())
    for handle in handles:
        handle.remove()
    rate = 1 / model.config.spectral.frame_seconds
    applications = 5  # three features in, two mask parts out
    products = int(torch.count_nonzero(model.erb)) * applications
    return [*rows, LayerCost("erb", "ErbMatrix", 0, products * rate)]


def _leaves(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Modules that compute with parameters of their own; a recurrence inside an attention counts with its user."""
    return [(n, m) for n, m in model.named_modules() if list(m.parameters(recurse=False)) or _attention_gru(m)]


def _attention_gru(module: nn.Module) -> nn.GRU | None:
    """The recurrence inside an attention, which is called by its weights and so reports nothing itself."""
    gru = getattr(module, "gru", None)
    return gru if isinstance(gru, nn.GRU) else None


def _recorder(name: str, config: GTCRNConfig, rows: list[LayerCost]) -> Callable[..., None]:
    rate = 1 / config.spectral.frame_seconds

    def record(module: nn.Module, _: Any, output: Any) -> None:
        gru = _attention_gru(module)
        own, label = (gru, f"{name}.gru") if gru else (module, name)
        macs = _weights(gru) if gru else _macs(module, output[0] if isinstance(output, tuple) else output)
        parameters = sum(p.numel() for p in own.parameters(recurse=False))
        rows.append(LayerCost(label, type(own).__name__, parameters, macs * rate))

    return record


def _macs(module: nn.Module, y: Tensor) -> int:
    """Products for the frame that gave the output y."""
    if isinstance(module, nn.ConvTranspose2d):
        return module.weight.numel() * ((y.shape[-1] + 1) // 2)  # each input position spreads one kernel
    if isinstance(module, nn.Conv2d):
        return module.weight.numel() * y.shape[-1]
    if isinstance(module, nn.Linear):
        return module.weight.numel() * (y.numel() // module.out_features)
    if isinstance(module, GroupedGRU):
        return (_own(module.weight_ih, 4) + _own(module.weight_hh, 4)) * y[..., 0].numel()
    if isinstance(module, BandConv):
        return _own(module.weight, 4) * y.shape[-1]
    if isinstance(module, BandLinear):
        return _own(module.weight, 2) * y[..., 0].numel()
    return 0


def _own(weight: Tensor, dims: int) -> int:
    """What one band has of a weight that may have a first dimension of groups of bands."""
    return weight[0].numel() if weight.dim() > dims else weight.numel()


def _weights(gru: nn.GRU) -> int:
    return sum(p.numel() for n, p in gru.named_parameters() if n.startswith("weight"))


def separable_pairs(config: GTCRNConfig | None = None) -> list[LayerCost]:
    """Each depthwise-separable pair beside the standard convolution that it replaces (weights without biases)."""
    model = GTCRN(config)
    rate, width = 1 / model.config.spectral.frame_seconds, model.config.width
    rows = []
    for name, module in model.named_modules():
        if isinstance(module, DepthwiseSeparableConv):
            outputs, inputs = cast(Tensor, module.pointwise.weight).shape[-4:-2]
            kernel = module.depthwise.kernel_size[0]
            pair, standard = (f(inputs, outputs, kernel) for f in (separable_weights, standard_weights))
            per_second = width * rate
            rows.append(
                LayerCost(name, "DepthwiseSeparableConv", pair, pair * per_second, standard, standard * per_second)
            )
    return rows
