"""The compiled training layers against torch: same outputs, gradients and running statistics."""

import copy

import pytest
import torch
from torch.nn import functional

from gtcrn.config import GTCRNConfig
from gtcrn.model import GTCRN
from gtcrn_recipes.native import functions as fast
from gtcrn_recipes.native.convolution import Convolution, Shape
from gtcrn_recipes.native.network import NativeGTCRN, supports


def make_model(seed: int = 0) -> GTCRN:
    torch.manual_seed(seed)
    model = GTCRN(GTCRNConfig(input_exponent=0.25))
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))  # no gain of one, no bias of nought
    return model.train()


@pytest.mark.parametrize(("batch", "frames"), [(1, 2), (2, 9), (3, 21), (5, 16)])
def test_the_network_is_the_models(batch: int, frames: int) -> None:
    twin = make_model()
    model = copy.deepcopy(twin).double()  # in single precision a PReLU's kink may fall on either side
    spectrum, weight = torch.randn(2, batch, 2, frames, 257)
    expected, _ = model(spectrum.double(), model.initial_state(batch))
    (expected * weight).sum().backward()
    found = NativeGTCRN(twin)(spectrum)
    (found * weight).sum().backward()
    torch.testing.assert_close(found, expected.float(), atol=2e-5, rtol=1e-4)
    gradients = {name: p.grad.float() for name, p in model.named_parameters()}
    largest = max(g.abs().max() for g in gradients.values())
    for name, parameter in twin.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-5 * float(largest), rtol=2e-3)
    for ours, theirs in zip(twin.buffers(), model.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs.to(ours.dtype), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(9, 16), (16, 2), (8, 16), (16, 48)])
def test_convolution_is_torchs(up: bool, inputs: int, outputs: int) -> None:
    torch.manual_seed(1)
    bands = 17
    shape = Shape(bands, 33 if up else 9, 5, 2, up)
    x = torch.randn(2, 11, bands, inputs, requires_grad=inputs != 9)
    weight, bias = torch.randn(5, inputs, outputs, requires_grad=True), torch.randn(outputs, requires_grad=True)
    found = Convolution.apply(x, weight, bias, shape)
    kernel = weight.permute(1, 2, 0) if up else weight.permute(2, 1, 0)
    convolve = functional.conv_transpose2d if up else functional.conv2d
    planes = convolve(x.permute(0, 3, 1, 2), kernel[:, :, None], bias, stride=(1, 2), padding=(0, 2))
    expected = planes.permute(0, 2, 3, 1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    wanted = [t for t in (x, weight, bias) if t.requires_grad]
    direction = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(found, wanted, direction), torch.autograd.grad(expected, wanted, direction), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("activation", [fast.NOTHING, fast.PRELU, fast.TANH])
@pytest.mark.parametrize(("channels", "frames"), [(16, 3), (8, 3), (2, 5)])
def test_normalisation_far_from_zero_is_torchs(activation: int, channels: int, frames: int) -> None:
    torch.manual_seed(2)
    x = (7 + torch.randn(1, frames, 129, channels)).requires_grad_()
    weight, bias = torch.rand(channels, requires_grad=True), torch.randn(channels, requires_grad=True)
    slope = torch.tensor([0.2], requires_grad=True)
    found = fast.Normalise.apply(x, weight, bias, slope, fast.moments(x.detach()), 1e-5, activation)
    expected = functional.batch_norm(x.permute(0, 3, 1, 2), None, None, weight, bias, True).permute(0, 2, 3, 1)
    if activation:
        expected = torch.tanh(expected) if activation == fast.TANH else functional.prelu(expected, slope)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    direction = torch.randn_like(expected)
    wanted = [x, weight, bias, *([slope] if activation == fast.PRELU else [])]
    for ours, theirs in zip(
        torch.autograd.grad(found, wanted, direction), torch.autograd.grad(expected, wanted, direction), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


def test_other_sizes_are_left_to_torch() -> None:
    assert supports(GTCRNConfig())
    assert not supports(GTCRNConfig(channels=32))
