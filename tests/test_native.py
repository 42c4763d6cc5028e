"""The compiled training layers against torch: same outputs, gradients and running statistics."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from training_models import make_model

from gtcrn.config import GTCRNConfig
from gtcrn_recipes.native import layers, norms
from gtcrn_recipes.native.convolution import Shape
from gtcrn_recipes.native.network import NativeGTCRN, supports
from gtcrn_recipes.native.program import Parameters, Program, Value
from gtcrn_recipes.native.recurrence import Cells, recurrence

SIZES = pytest.mark.parametrize(
    ("batch", "frames", "sizes"),
    [
        *((3, 1, (16,)), (1, 2, (16,)), (2, 9, (16,)), (3, 21, (16,)), (5, 16, (16,)), (2, 13, (32,)), (2, 7, (48,))),
        *((3, 1, (16, 12)), (2, 9, (16, 12)), (3, 6, (16, 1)), (2, 13, (32, 12)), (2, 7, (32, 5)), (1, 5, (16, 40))),
        *((3, 6, (16, 12, 3)), (2, 9, (16, 0, 1)), (2, 9, (32, 12, 4))),
    ],
)


@SIZES
def test_the_network_is_the_models(batch: int, frames: int, sizes: tuple[int, ...]) -> None:
    twin = make_model(*sizes)
    model = copy.deepcopy(twin).double()
    spectrum = torch.randn(batch, 2, frames, 257)
    expected, _ = model(spectrum.double(), model.initial_state(batch))
    torch.testing.assert_close(NativeGTCRN(twin)(spectrum), expected.float(), atol=2e-5, rtol=1e-4)
    for ours, theirs in zip(twin.buffers(), model.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs.to(ours.dtype), atol=1e-6, rtol=1e-4)


@SIZES
def test_its_gradients_are_the_models(batch: int, frames: int, sizes: tuple[int, ...]) -> None:
    """With slopes of 1: at the kink of other PReLUs rounding decides the gradient, torch's own too."""
    twin = make_model(*sizes)
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


class Layer:
    """A program of one layer, for an input and parameters: what torch's own operators are compared with."""

    def __init__(self, x: Tensor, parameters: list[nn.Parameter], write: Callable[[Program, Value], Value]) -> None:
        self.parameters = Parameters(parameters)
        self.program = Program(self.parameters, len(x))
        self.x = Value(self.program.room(*x.shape))
        self.y = write(self.program, self.x)
        self.slope = self.y.gradient = self.program.acquire(*self.y.data.shape)
        self.program.finish()
        self.parameters.gather(parameters)
        self.x.data.copy_(x)
        self.program.run_forward()

    def backward(self, direction: Tensor) -> list[Tensor]:
        """Gradients of the input and of the parameters."""
        self.slope.copy_(direction)
        self.program.run_backward()
        assert self.x.gradient is not None
        return [self.x.gradient, *self.parameters.gradients()]

    def agrees(self, expected: Tensor, inputs: list[Tensor], atol: float = 2e-5) -> None:
        """Outputs and the gradients of every input."""
        torch.testing.assert_close(self.y.data, expected, atol=atol, rtol=1e-4)
        direction = torch.randn_like(expected)
        theirs = torch.autograd.grad(expected, inputs, direction)
        for a, b in zip(self.backward(direction), theirs, strict=True):
            torch.testing.assert_close(a, b, atol=50 * atol, rtol=1e-3)


def leaves(*shapes: tuple[int, ...]) -> tuple[Tensor, list[nn.Parameter]]:
    """An input, and parameters."""
    torch.manual_seed(4)
    x, *parameters = (nn.Parameter(0.5 * torch.randn(shape)) for shape in shapes)
    return x, parameters


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(16, 2), (8, 16), (16, 48)])
def test_convolution_is_torchs(up: bool, inputs: int, outputs: int) -> None:
    bands = 17
    shape = Shape(bands, 33 if up else 9, 5, 2, up)
    x, (weight, bias) = leaves((2, 11, bands, inputs), (5, inputs, outputs), (outputs,))

    def write(program: Program, value: Value) -> Value:
        places = program.parameters.places
        return layers.convolution(program, value, places(weight), places(bias), shape)

    kernel = weight.permute(1, 2, 0) if up else weight.permute(2, 1, 0)
    convolve = functional.conv_transpose2d if up else functional.conv2d
    planes = convolve(x.permute(0, 3, 1, 2), kernel[:, :, None], bias, stride=(1, 2), padding=(0, 2))
    Layer(x, [weight, bias], write).agrees(planes.permute(0, 2, 3, 1), [x, weight, bias])


def with_norm(x: Tensor, activation: nn.Module | None, momentum: float = 0.1) -> tuple[Layer, nn.BatchNorm2d]:
    norm = nn.BatchNorm2d(x.shape[3], momentum=momentum)
    nn.init.uniform_(norm.weight)
    nn.init.normal_(norm.bias)
    learned = [norm.weight, norm.bias, *(activation.parameters() if activation else ())]
    return Layer(x, learned, lambda program, value: norms.normalise(program, value, norm, activation)), norm


@pytest.mark.parametrize("activation", [None, nn.PReLU(), nn.Tanh()], ids=str)
@pytest.mark.parametrize(("channels", "frames"), [(16, 3), (8, 3), (2, 5), (24, 3)])
def test_normalisation_far_from_zero_is_torchs(activation: nn.Module | None, channels: int, frames: int) -> None:
    torch.manual_seed(2)
    x = (7 + torch.randn(1, frames, 129, channels)).requires_grad_()
    layer, norm = with_norm(x, activation)
    norm.reset_running_stats()
    expected = norm(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    learned = [norm.weight, norm.bias, *(activation.parameters() if activation else ())]
    layer.agrees(activation(expected) if activation else expected, [x, *learned], atol=1e-4)


def test_statistics_hold_where_the_mean_is_large() -> None:
    torch.manual_seed(3)
    x = 10.1 + 1e-2 * torch.randn(2, 7, 33, 16)
    x[..., 3] = 30.7
    _, norm = with_norm(x, None, momentum=1.0)
    assert norm.running_var is not None
    torch.testing.assert_close(norm.running_mean, x.double().mean((0, 1, 2)).float())
    variance = x.double().var((0, 1, 2), correction=1).float()
    torch.testing.assert_close(norm.running_var, variance, atol=1e-9, rtol=1e-3)
    assert norm.running_var[3] == 0


@pytest.mark.parametrize(("frames", "dilation"), [(1, 1), (9, 1), (9, 5), (23, 5)])
def test_the_depthwise_convolution_is_torchs(frames: int, dilation: int) -> None:
    x, (weight, bias) = leaves((2, frames, 33, 16), (3, 3, 16), (16,))
    past = functional.pad(x.permute(0, 3, 1, 2), (1, 1, 2 * dilation, 0))
    planes = functional.conv2d(past, weight.permute(2, 0, 1)[:, None], bias, dilation=(dilation, 1), groups=16)

    def write(program: Program, value: Value) -> Value:
        places = program.parameters.places
        return layers.depthwise(program, value, places(weight), places(bias), dilation)

    Layer(x, [weight, bias], write).agrees(planes.permute(0, 2, 3, 1), [x, weight, bias])


@pytest.mark.parametrize(("batch", "frames", "bands"), [(1, 1, 1), (2, 7, 3), (3, 5, 33)])
def test_the_recurrence_along_frames_is_torchs(batch: int, frames: int, bands: int) -> None:
    x, (weight, bias) = leaves((batch, frames, bands, 48), (48, 16), (48,))
    order = x.transpose(1, 2).flatten(0, 1)  # a band's frames follow each other
    start, nothing = x.new_zeros(1, len(order), 16), (torch.eye(48), torch.zeros(48))
    flat = (nothing[0], weight, nothing[1], bias)
    expected, _ = torch.gru(order, start, flat, True, 1, 0.0, True, False, True)
    expected = expected.unflatten(0, (batch, bands)).transpose(1, 2)

    def write(program: Program, value: Value) -> Value:
        places = program.parameters.places
        return recurrence(program, value, places(weight), places(bias), Cells(16, 16, False))

    Layer(x, [weight, bias], write).agrees(expected, [x, weight, bias])


def test_layer_normalisation_beside_its_input_is_torchs() -> None:
    torch.manual_seed(5)
    x, norm = torch.randn(2, 5, 33, 16, requires_grad=True), nn.LayerNorm([33, 16], eps=1e-8)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    layer = Layer(x, list(norm.parameters()), lambda p, value: norms.add_normalised(p, value, value, norm))
    layer.agrees(x + norm(x), [x, *norm.parameters()])


def test_attention_by_energy_is_torchs() -> None:
    """Half of the channels are weighted, the other half pass, and they alternate; both come from one tensor."""
    x, (weight, bias) = leaves((2, 5, 33, 16), (8, 8), (8,))

    def write(program: Program, value: Value) -> Value:
        low, high = layers.halves(program, value)
        places = program.parameters.places
        y = layers.convolution(program, low, places(weight)[None], places(bias), Shape(33, 33, 1))
        return layers.attended(program, y, lambda squares: layers.sigmoid(program, squares), high)

    y = x[..., :8] @ weight + bias
    weighted = y * torch.sigmoid(y.square().mean(2, keepdim=True))
    expected = torch.stack((weighted, x[..., 8:]), dim=-1).flatten(3)
    Layer(x, [weight, bias], write).agrees(expected, [x, weight, bias])


def test_the_network_goes_backward_once_and_from_its_last_run() -> None:
    twin, spectrum = NativeGTCRN(make_model(16)), torch.randn(1, 2, 3, 257)
    first, second = (twin(spectrum).sum() for _ in range(2))
    with pytest.raises(RuntimeError, match="once"):
        first.backward()
    second.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once"):
        second.backward()


def test_widths_are_native_and_other_networks_left_to_torch() -> None:
    assert all(supports(GTCRNConfig(channels=channels)) for channels in (16, 32, 48))
    assert supports(GTCRNConfig(shared_bands=12, dual_path_blocks=3))
    assert not supports(GTCRNConfig(channels=24))
    assert not supports(GTCRNConfig(kernel_width=1))
