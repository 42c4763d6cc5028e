"""Every layer with memory keeps the streaming contract; the recurrence equals torch's; blocks cost what is said."""

import pytest
import torch
from contract import verify_contract
from networks import randomise
from torch import nn

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
    verify_contract(layer, lambda batch: torch.zeros(batch, CHANNELS, 2 * dilation, WIDTH), x)


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


def test_dual_path_keeps_the_contract() -> None:
    x = torch.randn(2, CHANNELS, FRAMES, WIDTH)
    verify_contract(DualPathGRNN(CHANNELS, WIDTH), lambda batch: torch.zeros(batch, WIDTH, CHANNELS), x)


def test_a_layer_that_sees_the_future_breaks_the_contract() -> None:
    """The contract can fail: padding one frame at the other end makes the convolution look ahead."""
    layer = randomise(DepthwiseSeparableConv(CHANNELS, 4, 3, 1))

    def ahead(x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, after = layer(torch.cat((x, x[:, :, -1:]), dim=2), state)
        return y[:, :, 1:], after[:, :, -2:]

    x = torch.randn(2, CHANNELS, FRAMES, WIDTH)
    with pytest.raises(AssertionError):
        verify_contract(ahead, lambda batch: torch.zeros(batch, CHANNELS, 2, WIDTH), x)


def test_a_layer_without_memory_breaks_the_contract() -> None:
    layer = randomise(DepthwiseSeparableConv(CHANNELS, 4, 3, 1))
    x = torch.randn(2, CHANNELS, FRAMES, WIDTH)
    with pytest.raises(AssertionError):
        verify_contract(
            lambda x, state: (layer(x, 0 * state)[0], state), lambda b: torch.zeros(b, CHANNELS, 2, WIDTH), x
        )


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
