"""A larger network that computes what a smaller one does, to go on from (Chen et al., "Net2Net", ICLR 2016, 2.2): with
several times the channels, with weights of their own for groups of bands that shared them, or with further dual-path
blocks, which begin by adding nothing.

Every channel of the wide network copies one of the narrow; whoever reads the copies shares the old weight among them
at random, so that the copies learn different things. The shuffle that ends a GTConvBlock moves channels from place to
place until they are convolved; a place copies only one whose way is as long. Those that have none begin unread.

Origins: for each wide channel the narrow one that it copies, or UNREAD.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from gtcrn.config import GTCRNConfig
from gtcrn.errors import ConfigError
from gtcrn.network.bands import BandLinear
from gtcrn.network.layers import DualPathGRNN, FrequencyConv, GroupedGRU, GTConvBlock, TemporalAttention
from gtcrn.network.model import GTCRN

UNREAD = -1


def widens(narrow: GTCRNConfig, wide: GTCRNConfig) -> bool:
    """Whether `wide` is `narrow` but for more of: channels (times), groups of bands (of none), dual-path blocks."""
    more = {name: getattr(wide, name) for name in ("channels", "shared_bands", "dual_path_blocks")}
    grouped = narrow.band_groups == 1 or narrow.shared_bands == wide.shared_bands
    fits = wide.dual_path_blocks >= narrow.dual_path_blocks and _all_copied(wide.channels, narrow.channels)
    return replace(narrow, **more) == wide and wide != narrow and grouped and fits


def _all_copied(wide: int, narrow: int) -> bool:
    """Whether each of the narrow channels has a place: 12 in 24 have not."""
    return not wide % narrow and set(range(narrow)) <= set(block_origins(wide, narrow).tolist())


def widen(narrow: GTCRN, config: GTCRNConfig) -> GTCRN:
    """The network of `config` with the function of `narrow`; random by torch's seed. Raises ConfigError (`widens`)."""
    if not widens(narrow.config, config):
        raise ConfigError("only a network with several times the channels, groups of bands or more blocks can copy.")
    wide, channels = GTCRN(config), block_origins(config.channels, narrow.config.channels)
    with torch.no_grad():
        for side, old in ((wide.encoder, narrow.encoder), (wide.decoder, narrow.decoder)):
            for block, old_block in zip(side.blocks, old.blocks, strict=True):
                _block(cast(GTConvBlock, block), cast(GTConvBlock, old_block), channels)
            _frequency_conv(side.second, old.second, channels, channels)
        inputs, outputs = (torch.arange(n) for n in (config.features * config.neighbours, 2))
        _frequency_conv(wide.encoder.first, narrow.encoder.first, channels, inputs)
        _frequency_conv(wide.decoder.first, narrow.decoder.first, outputs, channels)
        for path, old_path in zip(wide.dual_path, narrow.dual_path, strict=False):
            _dual_path(cast(DualPathGRNN, path), cast(DualPathGRNN, old_path), channels)
        for path in wide.dual_path[len(narrow.dual_path) :]:
            _silence(cast(DualPathGRNN, path))
    return wide


def block_origins(wide: int, narrow: int) -> Tensor:
    """Origins of the channels between the blocks: places with equally long ways to the next convolution, in turn."""
    origins = torch.full((wide,), UNREAD)
    origins[-1] = narrow - 1  # the shuffle leaves the last where it is
    old_ways = _ways(narrow)
    for length, ways in _ways(wide).items():
        for i, way in enumerate(ways if length in old_ways else ()):
            origins[way] = torch.tensor(old_ways[length][i % len(old_ways[length])])
    return origins


def _ways(channels: int) -> dict[int, list[list[int]]]:
    """By length: the places of each channel, shuffle by shuffle, until it is convolved."""
    half, found = channels // 2, dict[int, list[list[int]]]()
    for start in range(0, channels, 2):
        way = [start]
        while way[-1] >= half:
            way.append(2 * (way[-1] - half) + 1)
        found.setdefault(len(way), []).append(way)
    return found


def _tiled(wide: int, narrow: int) -> Tensor:
    return torch.arange(wide) % narrow


def _evened(origins: Tensor, narrow: int) -> Tensor:
    """The unread filled up to equally many copies of every narrow channel: layer normalisation averages over all."""
    counts = torch.bincount(origins[origins >= 0], minlength=narrow)
    missing = torch.arange(narrow).repeat_interleave(len(origins) // narrow - counts)
    filled = origins.clone()
    filled[origins == UNREAD] = missing
    return filled


def _shared(rows: int, origins: Tensor) -> Tensor:
    """What each copy takes of the weight of its origin, row by row (rows, copies): copies of one sum to 1."""
    parts = torch.rand(rows, len(origins)) + 0.5
    parts[:, origins == UNREAD] = 0
    totals = parts.new_zeros(rows, int(origins.max()) + 1).index_add_(1, origins.clamp(min=0), parts)
    return parts / totals[:, origins.clamp(min=0)].clamp(min=1e-9)


def _in_groups(new: Tensor, old: Tensor, dims: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Weights of `dims` dimensions, group by group where the bands have several; one that was shared goes to each."""
    if new.dim() == dims:
        return iter([(new, old)])
    return zip(new, old if old.dim() == new.dim() else old.expand(new.shape[0], *old.shape), strict=True)


def _weight(new: Tensor, old: Tensor, outputs: Tensor, inputs: Tensor) -> None:
    """(outputs, inputs, ...) from (old outputs, old inputs, ...); unread outputs keep what they began with."""
    shares = _shared(len(outputs), inputs).view(len(outputs), len(inputs), *[1] * (old.dim() - 2))
    copied = old[outputs.clamp(min=0)][:, inputs.clamp(min=0)] * shares
    new[outputs >= 0] = copied[outputs >= 0]


def _vector(new: Tensor, old: Tensor, outputs: Tensor) -> None:
    new[outputs >= 0] = old[outputs[outputs >= 0]]


def _linear(new: nn.Module, old: nn.Module, outputs: Tensor, inputs: Tensor) -> None:
    """A layer with weight (outputs, inputs, ...), of groups of bands or of all, and bias."""
    weights = cast(Tensor, new.weight), cast(Tensor, old.weight)
    dims = 2 if isinstance(old, nn.Linear | BandLinear) else 4
    for own, old_own in _in_groups(*weights, dims):
        _weight(own, old_own, outputs, inputs)
    _vector(cast(Tensor, new.bias), cast(Tensor, old.bias), outputs)


def _norm(new: nn.BatchNorm2d, old: nn.BatchNorm2d, outputs: Tensor) -> None:
    for name in ("weight", "bias", "running_mean", "running_var"):
        _vector(getattr(new, name), getattr(old, name), outputs)


def _frequency_conv(new: FrequencyConv, old: FrequencyConv, outputs: Tensor, inputs: Tensor) -> None:
    groups, up = new.conv.groups, isinstance(new.conv, nn.ConvTranspose2d)
    weights = (layer.conv.weight.unflatten(0, (groups, -1)) for layer in (new, old))
    new_weight, old_weight = (w.transpose(1, 2) if up else w for w in weights)  # (groups, outputs, inputs, 1, width)
    for group, halves in enumerate(zip(outputs.chunk(groups), inputs.chunk(groups), strict=True)):
        starts = (group * size for size in old_weight.shape[1:3])
        _weight(new_weight[group], old_weight[group], *(_within(o, s) for o, s in zip(halves, starts, strict=True)))
    _vector(cast(Tensor, new.conv.bias), cast(Tensor, old.conv.bias), outputs)
    _norm(new.norm, old.norm, outputs)
    new.activation.load_state_dict(old.activation.state_dict())


def _within(origins: Tensor, start: int) -> Tensor:
    """Counted from the start of their group."""
    return torch.where(origins == UNREAD, UNREAD, origins - start)


def _block(new: GTConvBlock, old: GTConvBlock, channels: Tensor) -> None:
    inner = _tiled(len(channels), len(cast(Tensor, old.point.bias)))
    convolved = channels[: len(channels) // 2]
    put = torch.where(channels == UNREAD, UNREAD, channels // 2)[::2]  # what the convolved half becomes: every other
    _linear(new.point, old.point, inner, convolved)
    _norm(new.norm, old.norm, inner)
    _linear(new.separable.depthwise, old.separable.depthwise, inner, torch.zeros(1, dtype=torch.long))
    _norm(new.separable.norm, old.separable.norm, inner)
    _linear(new.separable.pointwise, old.separable.pointwise, put, inner)
    _norm(new.separable_norm, old.separable_norm, put)
    for activation, was in ((new.activation, old.activation), (new.separable.activation, old.separable.activation)):
        activation.load_state_dict(was.state_dict())
    _attention(new.attention, old.attention, put)


def _attention(new: TemporalAttention, old: TemporalAttention, channels: Tensor) -> None:
    units = _tiled(new.gru.hidden_size, old.gru.hidden_size)
    parameters = zip(new.gru.all_weights[0], old.gru.all_weights[0], strict=True)
    w_ih, w_hh, *biases = [(n.unflatten(0, (3, -1)), o.unflatten(0, (3, -1))) for n, o in parameters]
    _gates(*w_ih, units, channels)
    _gates(*w_hh, units, units)
    for pair in biases:
        _gate_biases(*pair, units)
    _linear(new.linear, old.linear, channels, units)


def _gates(new: Tensor, old: Tensor, units: Tensor, inputs: Tensor) -> None:
    """(3, units, inputs): r, z, n."""
    for gate, old_gate in zip(new, old, strict=True):
        _weight(gate, old_gate, units, inputs)


def _gate_biases(new: Tensor, old: Tensor, units: Tensor) -> None:
    for gate, old_gate in zip(new, old, strict=True):
        _vector(gate, old_gate, units)


def _dual_path(new: DualPathGRNN, old: DualPathGRNN, channels: Tensor) -> None:
    narrow = old.intra_linear.out_features
    evened = _evened(channels, narrow)
    _recurrent(new.intra, old.intra, channels)
    _recurrent(new.inter, old.inter, channels)
    for linear, was, cells in (
        (new.intra_linear, old.intra_linear, new.intra),
        (new.inter_linear, old.inter_linear, new.inter),
    ):
        _linear(linear, was, evened, _units(cells, narrow))
    for norm, old_norm in ((new.intra_norm, old.intra_norm), (new.inter_norm, old.inter_norm)):
        norm.weight.copy_(old_norm.weight[:, evened])
        norm.bias.copy_(old_norm.bias[:, evened])


def _silence(path: DualPathGRNN) -> None:
    """Normalisations of gain 0: a block that adds nothing yet, but learns (Bachlechner et al., "ReZero", UAI 2021)."""
    for norm in (path.intra_norm, path.inter_norm):
        norm.weight.zero_()


def _units(cells: GroupedGRU, narrow: int) -> Tensor:
    """Origins of all units, cell by cell."""
    count, _, hidden = cells.bias_hh.shape
    return torch.cat([cell * (narrow // count) + _tiled(hidden, narrow // count) for cell in range(count)])


def _recurrent(new: GroupedGRU, old: GroupedGRU, channels: Tensor) -> None:
    units = _tiled(new.weight_hh.shape[-1], old.weight_hh.shape[-1])
    halves = [_within(o, g * old.weight_ih.shape[-1]) for g, o in enumerate(channels.chunk(new.groups))]
    for cell in range(len(new.bias_ih)):
        for own, old_own in _in_groups(new.weight_ih, old.weight_ih, 4):
            _gates(own[cell], old_own[cell], units, halves[cell % new.groups])
        for own, old_own in _in_groups(new.weight_hh, old.weight_hh, 4):
            _gates(own[cell], old_own[cell], units, units)
        _gate_biases(new.bias_ih[cell], old.bias_ih[cell], units)
        _gate_biases(new.bias_hh[cell], old.bias_hh[cell], units)
