"""Every layer with memory keeps the streaming contract; the recurrence equals torch's; blocks cost what is said."""

import pytest
import torch
from contract import verify_contract
from networks import randomise
from torch import nn

from gtcrn.network.bands import ALIKE, Bands
from gtcrn.network.layers import (
    DepthwiseSeparableConv,
    DualPathGRNN,
    GroupedGRU,
    GTConvBlock,
    GTConvState,
    TemporalAttention,
)
from gtcrn.network.recurrent import gru

FRAMES, WIDTH, CHANNELS = 12, 7, 8


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("dilation", [1, 2, 5])
def test_depthwise_separable_conv_keeps_the_contract(dilation: int) -> None:
    layer = randomise(DepthwiseSeparableConv(CHANNELS, 4, 3, dilation))
    x = torch.randn(2, CHANNELS, FRAMES, WIDTH)
    initial = torch.zeros(2, CHANNELS, 2 * dilation, WIDTH)
    verify_contract(layer, lambda batch: initial[:batch], x, receptive_field=2 * dilation + 1)


@pytest.mark.parametrize("dilation", [1, 5])
def test_gtconv_block_keeps_the_contract(dilation: int) -> None:
    layer = randomise(GTConvBlock(CHANNELS, 3, 3, dilation))
    x = torch.randn(2, CHANNELS, FRAMES, WIDTH)

    def initial(batch: int) -> GTConvState:
        return GTConvState(torch.zeros(batch, CHANNELS, 2 * dilation, WIDTH), torch.zeros(batch, CHANNELS))

    verify_contract(layer, initial, x)


def test_temporal_attention_keeps_the_contract() -> None:
    x = torch.randn(2, CHANNELS, FRAMES, WIDTH)
    verify_contract(TemporalAttention(CHANNELS), lambda batch: torch.zeros(batch, 2 * CHANNELS), x)


GROUPS = pytest.mark.parametrize("bands", [Bands(1, 0), Bands(3, 3), Bands(7, 1)])  # 3 + 3 + 1 of the width


@GROUPS
def test_dual_path_keeps_the_contract(bands: Bands) -> None:
    x, layer = torch.randn(2, CHANNELS, FRAMES, WIDTH), DualPathGRNN(CHANNELS, WIDTH, groups=2, bands=bands)
    verify_contract(layer, lambda batch: torch.zeros(batch, WIDTH, CHANNELS), x)


@GROUPS
def test_groups_of_bands_with_equal_weights_are_one_group(bands: Bands) -> None:
    for alike, grouped in (
        (ALIKE.conv(CHANNELS, 4, 3), bands.conv(CHANNELS, 4, 3)),
        (ALIKE.linear(WIDTH, 4), bands.linear(WIDTH, 4)),
        (DualPathGRNN(CHANNELS, WIDTH, 2), DualPathGRNN(CHANNELS, WIDTH, 2, bands)),
    ):
        for into, value in zip(grouped.parameters(), alike.parameters(), strict=True):
            into.data.copy_(value)
        x = torch.randn(2, CHANNELS, FRAMES if isinstance(alike, DualPathGRNN) else WIDTH, WIDTH)
        state = (torch.zeros(2, WIDTH, CHANNELS),) if isinstance(alike, DualPathGRNN) else ()
        torch.testing.assert_close(grouped(x, *state), alike(x, *state))


def test_each_group_of_bands_has_its_own_weights() -> None:
    """A weight of the second of three groups moves the output of its bands, and no other's."""
    layer, x = Bands(3, 3).conv(CHANNELS, 4, 3), torch.randn(2, CHANNELS, FRAMES, WIDTH)
    before = layer(x)
    with torch.no_grad():
        next(layer.parameters())[1] += 1
    assert (layer(x) != before).any(dim=(0, 1, 2)).tolist() == [False, False, False, True, True, True, False]


def test_a_grouped_gru_along_time_keeps_the_contract() -> None:
    cell = GroupedGRU(CHANNELS, CHANNELS, groups=2, directions=1)

    def layer(x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, state = cell(x[..., 0].permute(2, 0, 1), state)
        return y.permute(1, 2, 0)[..., None], state

    verify_contract(layer, lambda batch: torch.zeros(batch, CHANNELS), torch.randn(2, CHANNELS, FRAMES, 1))


def test_a_layer_that_sees_the_future_breaks_the_contract() -> None:
    """The contract can fail: padding one frame at the other end makes the convolution look ahead."""
    layer = randomise(DepthwiseSeparableConv(CHANNELS, 4, 3, 1))

    def ahead(x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, after = layer(torch.cat((x, x[:, :, -1:]), dim=2), state)
        return y[:, :, 1:], after[:, :, -2:]

    x = torch.randn(2, CHANNELS, FRAMES, WIDTH)
    with pytest.raises(AssertionError):
        verify_contract(ahead, lambda batch: torch.zeros(batch, CHANNELS, 2, WIDTH), x, receptive_field=3)


def test_a_layer_without_memory_breaks_the_contract() -> None:
    layer = randomise(DepthwiseSeparableConv(CHANNELS, 4, 3, 1))
    x = torch.randn(2, CHANNELS, FRAMES, WIDTH)
    with pytest.raises(AssertionError):
        verify_contract(
            lambda x, state: (layer(x, 0 * state)[0], state),
            lambda b: torch.zeros(b, CHANNELS, 2, WIDTH),
            x,
            receptive_field=3,
        )


def test_a_wrong_receptive_field_breaks_the_contract() -> None:
    layer = randomise(DepthwiseSeparableConv(CHANNELS, 4, 3, 2))
    x = torch.randn(2, CHANNELS, FRAMES, WIDTH)
    with pytest.raises(AssertionError, match="depends on 5 frames"):
        verify_contract(layer, lambda batch: torch.zeros(batch, CHANNELS, 4, WIDTH), x, receptive_field=4)


def test_a_state_without_a_gradient_breaks_the_contract() -> None:
    """As it is when a layer detaches what it remembers: training in chunks would not learn what whole files teach."""
    layer = randomise(DepthwiseSeparableConv(CHANNELS, 4, 3, 1))

    def forgetful(x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, after = layer(x, state)
        return y, after.detach()

    x = torch.randn(2, CHANNELS, FRAMES, WIDTH)
    with pytest.raises(AssertionError):
        verify_contract(forgetful, lambda b: torch.zeros(b, CHANNELS, 2, WIDTH), x, receptive_field=3)


def test_rows_that_share_a_mean_break_the_contract() -> None:
    layer = randomise(DepthwiseSeparableConv(CHANNELS, 4, 3, 1))

    def mixed(x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, state = layer(x - x.mean(0, keepdim=True), state)
        return y, state

    x = torch.randn(2, CHANNELS, FRAMES, WIDTH)
    with pytest.raises(AssertionError):
        verify_contract(mixed, lambda b: torch.zeros(b, CHANNELS, 2, WIDTH), x, receptive_field=3)


def test_recurrence_equals_torch_in_value_and_gradient() -> None:
    reference = nn.GRU(6, 5).double()
    x = torch.randn(9, 4, 6, dtype=torch.double, requires_grad=True)
    h0 = torch.randn(4, 5, dtype=torch.double, requires_grad=True)
    inputs = (x, h0, *reference.parameters())
    y, last = gru(*inputs)
    expected, expected_last = reference(x, h0[None])
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(last, expected_last[0])
    weight = torch.randn_like(y)
    ours = torch.autograd.grad((y * weight).sum() + last.square().sum(), inputs)
    theirs = torch.autograd.grad((expected * weight).sum() + expected_last.square().sum(), inputs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("groups", "directions"), [(2, 1), (2, 2), (1, 2)])
def test_grouped_gru_equals_separate_grus(groups: int, directions: int) -> None:
    layer = GroupedGRU(8, 8, groups, directions)
    x = torch.randn(5, 3, 8)
    y, _ = layer(x, torch.zeros(3, 8))
    width, hidden = 8 // groups, 8 // (groups * directions)
    for cell in range(groups * directions):
        direction, group = divmod(cell, groups)
        single = nn.GRU(width, hidden)
        parts = (layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh)
        for parameter, part in zip(single.parameters(), parts, strict=True):
            parameter.data = part[cell].flatten(0, 1).detach()
        share = x[..., group * width : (group + 1) * width]
        expected = single(share.flip(0))[0].flip(0) if direction else single(share)[0]
        torch.testing.assert_close(y[..., cell * hidden : (cell + 1) * hidden], expected)
