"""The compiled training layers against torch: same outputs, gradients and running statistics."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gtcrn.config import GTCRNConfig
from gtcrn.errors import GtcrnError
from gtcrn.network.model import GTCRN
from gtcrn_recipes.native import functions as fast
from gtcrn_recipes.native import library
from gtcrn_recipes.native.convolution import Convolution, Shape
from gtcrn_recipes.native.network import NativeGTCRN, supports


def make_model(channels: int) -> GTCRN:
    torch.manual_seed(0)
    model = GTCRN(GTCRNConfig(input_exponent=0.25, channels=channels))
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))  # no gain of one, no bias of nought
    return model.train()


SIZES = pytest.mark.parametrize(
    ("batch", "frames", "channels"),
    [(3, 1, 16), (1, 2, 16), (2, 9, 16), (3, 21, 16), (5, 16, 16), (2, 13, 32), (2, 7, 48)],
)


@SIZES
def test_the_network_is_the_models(batch: int, frames: int, channels: int) -> None:
    twin = make_model(channels)
    model = copy.deepcopy(twin).double()
    spectrum = torch.randn(batch, 2, frames, 257)
    expected, _ = model(spectrum.double(), model.initial_state(batch))
    torch.testing.assert_close(NativeGTCRN(twin)(spectrum), expected.float(), atol=2e-5, rtol=1e-4)
    for ours, theirs in zip(twin.buffers(), model.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs.to(ours.dtype), atol=1e-6, rtol=1e-4)


@SIZES
def test_its_gradients_are_the_models(batch: int, frames: int, channels: int) -> None:
    """With slopes of 1: at the kink of other PReLUs rounding decides the gradient, torch's own too."""
    twin = make_model(channels)
    for layer in twin.modules():
        if isinstance(layer, nn.PReLU):
            nn.init.ones_(layer.weight)
    model = copy.deepcopy(twin).double()
    spectrum, weight = torch.randn(2, batch, 2, frames, 257)
    (model(spectrum.double(), model.initial_state(batch))[0] * weight).sum().backward()
    (NativeGTCRN(twin)(spectrum) * weight).sum().backward()
    gradients = {name: p.grad.float() for name, p in model.named_parameters() if p.grad is not None}
    largest = max(g.abs().max() for g in gradients.values())
    for name, parameter in twin.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-5 * float(largest), rtol=2e-3)


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


def running(channels: int, momentum: float = 0.1) -> fast.Running:
    return fast.Running(torch.zeros(channels), torch.zeros(channels), momentum, 1e-5)


@pytest.mark.parametrize("activation", [fast.NOTHING, fast.PRELU, fast.TANH])
@pytest.mark.parametrize(("channels", "frames"), [(16, 3), (8, 3), (2, 5), (24, 3)])
def test_normalisation_far_from_zero_is_torchs(activation: int, channels: int, frames: int) -> None:
    torch.manual_seed(2)
    x = (7 + torch.randn(1, frames, 129, channels)).requires_grad_()
    weight, bias = torch.rand(channels, requires_grad=True), torch.randn(channels, requires_grad=True)
    slope = torch.tensor([0.2], requires_grad=True)
    found = fast.Normalise.apply(x, weight, bias, slope, running(channels), activation)
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


def test_statistics_hold_where_the_mean_is_large() -> None:
    torch.manual_seed(3)
    x = 10.1 + 1e-2 * torch.randn(2, 7, 33, 16)
    x[..., 3] = 30.7
    found = running(16, momentum=1.0)
    fast.Normalise.apply(x, torch.ones(16), torch.zeros(16), torch.ones(1), found, fast.NOTHING)
    torch.testing.assert_close(found.mean, x.double().mean((0, 1, 2)).float())
    variance = x.double().var((0, 1, 2), correction=1).float()
    torch.testing.assert_close(found.variance, variance, atol=1e-9, rtol=1e-3)
    assert found.variance[3] == 0


def same(found: Tensor, expected: Tensor, inputs: tuple[Tensor, ...]) -> None:
    """Outputs and the gradients of every input."""
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    direction = torch.randn_like(expected)
    ours, theirs = (torch.autograd.grad(y, inputs, direction) for y in (found, expected))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-3)


def leaves(*shapes: tuple[int, ...]) -> tuple[Tensor, ...]:
    torch.manual_seed(4)
    return tuple((0.5 * torch.randn(shape)).requires_grad_() for shape in shapes)


@pytest.mark.parametrize(("frames", "dilation"), [(1, 1), (9, 1), (9, 5), (23, 5)])
def test_the_depthwise_convolution_is_torchs(frames: int, dilation: int) -> None:
    x, weight, bias = leaves((2, frames, 33, 16), (3, 3, 16), (16,))
    past = functional.pad(x.permute(0, 3, 1, 2), (1, 1, 2 * dilation, 0))
    planes = functional.conv2d(past, weight.permute(2, 0, 1)[:, None], bias, dilation=(dilation, 1), groups=16)
    same(fast.Depthwise.apply(x, weight, bias, dilation), planes.permute(0, 2, 3, 1), (x, weight, bias))


@pytest.mark.parametrize(("batch", "frames", "bands"), [(1, 1, 1), (2, 7, 3), (3, 5, 33)])
def test_the_recurrence_along_frames_is_torchs(batch: int, frames: int, bands: int) -> None:
    inputs, weight, bias = leaves((batch, frames, bands, 48), (48, 16), (48,))
    order = inputs.transpose(1, 2).flatten(0, 1)  # a band's frames follow each other
    nothing = torch.eye(48), torch.zeros(48)
    expected, _ = functional_gru(order, nothing[0], weight, nothing[1], bias)
    expected = expected.unflatten(0, (batch, bands)).transpose(1, 2)
    same(fast.Recurrence.apply(inputs, weight, bias, fast.Cells(16, 16, False)), expected, (inputs, weight, bias))


def functional_gru(x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> tuple[Tensor, Tensor]:
    start = x.new_zeros(1, len(x), w_hh.shape[1])
    return torch.gru(x, start, (w_ih, w_hh, b_ih, b_hh), True, 1, 0.0, True, False, True)


def test_the_recurrence_goes_backward_once() -> None:
    inputs, weight, bias = leaves((1, 3, 2, 48), (48, 16), (48,))
    y = fast.Recurrence.apply(inputs, weight, bias, fast.Cells(16, 4, True))
    y.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="twice"):
        y.sum().backward()


def test_energy_and_shuffle_are_torchs() -> None:
    x, weight, both = leaves((2, 5, 33, 8), (2, 5, 8), (2, 5, 33, 16))
    same(fast.Energy.apply(x), x.square().mean(2), (x,))
    passed = both[..., 8:]  # a part of a wider tensor
    expected = torch.stack((x * weight[:, :, None], passed), dim=-1).flatten(3)
    same(fast.Shuffle.apply(x, weight, passed), expected, (x, weight, both))


def test_what_the_layers_cannot_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="float32"):
        fast.Energy.apply(torch.zeros(1, 2, 3, 16, dtype=torch.float64))
    library._library.cache_clear()
    monkeypatch.setattr(library, "VERSION", -1)
    with pytest.raises(GtcrnError, match="install"):
        fast.Energy.apply(torch.zeros(1, 2, 3, 16))
    library._library.cache_clear()


def test_widths_are_native_and_other_networks_left_to_torch() -> None:
    assert all(supports(GTCRNConfig(channels=channels)) for channels in (16, 32, 48))
    assert not supports(GTCRNConfig(channels=24))
    assert not supports(GTCRNConfig(kernel_width=1))


def test_threads_change_nothing() -> None:
    """Sums over items have one order: a seed stays a seed."""
    model, spectrum = make_model(16), torch.randn(5, 2, 16, 257)

    def outcome() -> list[Tensor]:
        twin = copy.deepcopy(model)
        y = NativeGTCRN(twin)(spectrum)
        y.square().sum().backward()
        return [y.detach(), *(p.grad for p in twin.parameters() if p.grad is not None), *twin.buffers()]

    alone = outcome()
    assert library.use_threads(3) == 3
    for _ in range(20):
        assert all(torch.equal(a, b) for a, b in zip(alone, outcome(), strict=True))
