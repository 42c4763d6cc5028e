"""The layers of the network. Those with memory are causal: `(x, state) -> (y, state)`, state a value, batch first.

A whole file is many frames from the zero state, a stream is one frame from the last state: the same lines.
Tensors are (B, C, T, F): batch, channels, frames, bins or bands.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gtcrn.network.bands import ALIKE, Bands, group_sizes
from gtcrn.network.recurrent import gru


class SubbandFeatures(nn.Module):
    """Puts each band beside its neighbours (SFE, section 2.2 of the paper): (B, C, T, F) -> (B, C * k, T, F)."""

    def __init__(self, neighbours: int) -> None:
        super().__init__()
        self.neighbours = neighbours

    def forward(self, x: Tensor) -> Tensor:
        width = x.shape[-1]
        padded = functional.pad(x, (self.neighbours // 2, self.neighbours // 2))
        shifted = [padded[..., k : k + width] for k in range(self.neighbours)]
        return torch.stack(shifted, dim=2).flatten(1, 2)  # channel c, neighbour k at c * neighbours + k


class FrequencyConv(nn.Module):
    """Convolution along frequency within a frame, stride 2, batch normalisation, activation; `up` transposes it."""

    def __init__(self, inputs: int, outputs: int, width: int, groups: int, activation: nn.Module, up: bool) -> None:
        super().__init__()
        kind = nn.ConvTranspose2d if up else nn.Conv2d
        self.conv = kind(inputs, outputs, (1, width), stride=(1, 2), padding=(0, width // 2), groups=groups)
        self.norm = nn.BatchNorm2d(outputs)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.norm(self.conv(x)))
        return y


class DepthwiseSeparableConv(nn.Module):
    """A k x k depthwise convolution (groups = channels, causal and dilated in time), then a 1 x 1 pointwise one.

    It replaces a standard k x k convolution. Weights: C_in k^2 + C_in C_out against C_in C_out k^2, so
    MACs fall to 1 / C_out + 1 / k^2 of it (Howard et al., MobileNets, 2017, section 3.1): 3 x 3, 16 -> 32 channels,
    656 against 4608. State: the last (k - 1) * dilation frames, (B, C_in, (k - 1) * dilation, F).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int, bands: Bands = ALIKE) -> None:
        super().__init__()
        self.memory = (kernel - 1) * dilation
        self.depthwise = nn.Conv2d(
            inputs, inputs, kernel, padding=(0, kernel // 2), dilation=(dilation, 1), groups=inputs
        )
        self.norm = nn.BatchNorm2d(inputs)
        self.activation = nn.PReLU()
        self.pointwise = bands.conv(inputs, outputs, 1)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat((state, x), dim=2)  # (B, C_in, memory + T, F)
        y = self.pointwise(self.activation(self.norm(self.depthwise(x))))
        return y, x[:, :, x.shape[2] - self.memory :]


class TemporalAttention(nn.Module):
    """Weights channels by their recent energy (TRA, section 2.3): a GRU over frames, a layer, a sigmoid.

    State: the GRU's, (B, 2 C).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, 2 * channels)
        self.linear = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        energy = x.square().mean(dim=-1).permute(2, 0, 1)  # (T, B, C)
        y, state = gru(energy, state, *self.gru.all_weights[0])
        weight = torch.sigmoid(self.linear(y)).permute(1, 2, 0)  # (B, C, T)
        return x * weight[..., None], state


class GTConvState(NamedTuple):
    frames: Tensor  # (B, C, memory, F), what the depthwise convolution has seen
    attention: Tensor  # (B, C), the attention's GRU


class GTConvBlock(nn.Module):
    """Grouped temporal convolution (section 2.4): half of the channels pass, half are convolved; then a shuffle.

    The subband features and the first pointwise convolution after them are one convolution over neighbouring bands.
    """

    def __init__(self, channels: int, neighbours: int, kernel: int, dilation: int, bands: Bands = ALIKE) -> None:
        super().__init__()
        half = channels // 2
        self.point = bands.conv(half, channels, neighbours)
        self.norm = nn.BatchNorm2d(channels)
        self.activation = nn.PReLU()
        self.separable = DepthwiseSeparableConv(channels, half, kernel, dilation, bands)
        self.separable_norm = nn.BatchNorm2d(half)
        self.attention = TemporalAttention(half)

    def forward(self, x: Tensor, state: GTConvState) -> tuple[Tensor, GTConvState]:
        x, untouched = x.chunk(2, dim=1)
        y = self.activation(self.norm(self.point(x)))
        y, frames = self.separable(y, state.frames)
        y, attention = self.attention(self.separable_norm(y), state.attention)
        shuffled = torch.stack((y, untouched), dim=2).flatten(1, 2)  # channels alternate between the halves
        return shuffled, GTConvState(frames, attention)


class GroupedGRU(nn.Module):
    """Several small GRUs side by side, each on its own share of the inputs, run as one with block-diagonal weights.

    Units are ordered direction by direction, group by group. A reverse direction reads the steps backwards.
    x (S, N, C), state (N, units) -> (S, N, units), state.
    """

    def __init__(self, inputs: int, units: int, groups: int, directions: int, sets: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.groups, self.directions = groups, directions
        cells, width, hidden = groups * directions, inputs // groups, units // (groups * directions)
        self.weight_ih = nn.Parameter(torch.empty(*sets, cells, 3, hidden, width))
        self.weight_hh = nn.Parameter(torch.empty(*sets, cells, 3, hidden, hidden))
        self.bias_ih = nn.Parameter(torch.empty(cells, 3, hidden))
        self.bias_hh = nn.Parameter(torch.empty(cells, 3, hidden))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        inputs = x if self.directions == 1 else torch.cat((x, x.flip(0)), dim=-1)
        y, state = self._run(inputs, state, self.weight_ih, self.weight_hh)
        if self.directions == 1:
            return y, state
        forward, backward = y.chunk(2, dim=-1)
        return torch.cat((forward, backward.flip(0)), dim=-1), state

    def _run(self, x: Tensor, state: Tensor, w_ih: Tensor, w_hh: Tensor) -> tuple[Tensor, Tensor]:
        biases = (b.transpose(0, 1).flatten() for b in (self.bias_ih, self.bias_hh))
        return gru(x, state, block_diagonal(w_ih), block_diagonal(w_hh), *biases)


class BandGRU(GroupedGRU):
    """The same along time for every band, (T, B, F, C), state (B, F, units) -> (T, B, F, units), state.

    With several groups of bands the weights, not the biases, of each come one after the other.
    """

    def __init__(self, inputs: int, units: int, groups: int, bands: Bands) -> None:
        self.shared = bands.shared
        super().__init__(inputs, units, groups, directions=1, sets=bands.sets)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        sizes = group_sizes(x.shape[2], self.shared)
        w_ih, w_hh = (w if self.shared else w[None] for w in (self.weight_ih, self.weight_hh))
        parts = zip(x.split(sizes, 2), state.split(sizes, 1), w_ih, w_hh, strict=True)
        ys, states = zip(*(self._group(*part) for part in parts), strict=True)
        return torch.cat(ys, dim=2), torch.cat(states, dim=1)

    def _group(self, x: Tensor, state: Tensor, w_ih: Tensor, w_hh: Tensor) -> tuple[Tensor, Tensor]:
        y, after = self._run(x.flatten(1, 2), state.flatten(0, 1), w_ih, w_hh)
        return y.view(*x.shape[:3], -1), after.view(state.shape)


def block_diagonal(weight: Tensor) -> Tensor:
    """(cells, 3, H, I) -> (3 * cells * H, cells * I): gate by gate, each cell on its own block."""
    cells = len(weight)
    own = torch.eye(cells, dtype=weight.dtype, device=weight.device)[:, None, :, None]
    blocks = weight.transpose(0, 1)[:, :, :, None] * own  # (3, cells, H, cells, I)
    return blocks.flatten(3, 4).flatten(0, 2)


class DualPathGRNN(nn.Module):
    """Dual-path grouped recurrence (section 2.5): along the bands of a frame, then along the frames of a band.

    State: the second GRU's, (B, F, C).
    """

    def __init__(self, channels: int, width: int, groups: int, bands: Bands = ALIKE) -> None:
        super().__init__()
        self.intra = GroupedGRU(channels, channels, groups, directions=2)
        self.intra_linear = nn.Linear(channels, channels)
        self.intra_norm = nn.LayerNorm([width, channels], eps=1e-8)
        self.inter = BandGRU(channels, channels, groups, bands)
        self.inter_linear = bands.linear(channels, channels)
        self.inter_norm = nn.LayerNorm([width, channels], eps=1e-8)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        batch, channels, frames, width = x.shape
        x = x.permute(3, 0, 2, 1)  # (F, B, T, C)
        y, _ = self.intra(x.reshape(width, batch * frames, channels), x.new_zeros(batch * frames, channels))
        y = self.intra_linear(y).view(width, batch, frames, channels).permute(2, 1, 0, 3)
        x = x.permute(2, 1, 0, 3) + self.intra_norm(y)  # (T, B, F, C)
        y, state = self.inter(x, state)
        x = x + self.inter_norm(self.inter_linear(y))
        return x.permute(1, 3, 0, 2), state
