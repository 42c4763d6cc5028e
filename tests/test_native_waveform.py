"""The compiled network from waveform to waveform against torch's transforms, model and gradient in double precision."""

import copy

import pytest
import torch
from torch import Tensor, nn
from training_models import make_model

from gtcrn.network.model import GTCRN, apply_mask, features
from gtcrn_recipes.native.network import NativeGTCRN
from gtcrn_recipes.native.waveform import FEATURES, Waveforms
from gtcrn_recipes.training.enhance import spectrum, waveform

LENGTHS = pytest.mark.parametrize(("items", "samples"), [(1, 256), (3, 2048), (2, 1792), (5, 16_128)])


def noisy(items: int, samples: int) -> Tensor:
    """Loud, quiet and silent ones."""
    levels = torch.logspace(0, -4, items)[:, None]
    levels[2:3] = 0
    return levels * torch.randn(items, samples, generator=torch.Generator().manual_seed(samples))


@LENGTHS
@pytest.mark.parametrize("exponent", [1.0, 0.5, 0.25])
def test_features_are_the_models(items: int, samples: int, exponent: float) -> None:
    """As near as torch's own in single precision: small exponents make much of rounding in all but empty bins."""
    model = make_model(16, input_exponent=exponent)
    x = noisy(items, samples)
    ends = Waveforms(model.config, items, samples)
    found = torch.full((items, ends.frames, ends.bands, FEATURES), torch.nan)
    ends.prepare(x, found)

    def of_torch(model: GTCRN, x: Tensor) -> Tensor:
        bins = spectrum(x, model.config.spectral)
        gathered: Tensor = model.encoder.features(model.gather(features(bins, exponent)))
        return gathered.permute(0, 2, 3, 1)

    single, expected = of_torch(model, x), of_torch(copy.deepcopy(model).double(), x.double())
    rounding = (single - expected).abs().max() + 1e-6 * expected.abs().max()
    assert (found - expected).abs().max() <= 3 * rounding


@LENGTHS
def test_masks_and_their_gradients_are_the_models(items: int, samples: int) -> None:
    model = make_model(16).double()
    x = noisy(items, samples)
    ends = Waveforms(model.config, items, samples)
    ends.prepare(x, torch.empty(items, ends.frames, ends.bands, FEATURES))
    masks = torch.rand(items, ends.frames, ends.bands, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    reference = masks.double().requires_grad_()
    spread = model.spread(reference.permute(0, 3, 1, 2))
    config = model.config.spectral
    expected = waveform(apply_mask(spread, spectrum(x.double(), config)), config, samples)
    assert (ends.finish(masks) - expected).abs().max() <= 2e-6 * expected.abs().max()
    weight = torch.randn(items, samples, generator=torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad((expected * weight).sum(), reference)
    found = torch.full_like(masks, torch.nan)
    ends.finish_backward(weight, found)
    assert (found - gradient).abs().max() <= 2e-6 * gradient.abs().max()


@pytest.mark.parametrize("channels", [16, 32])
def test_waveforms_and_gradients_are_those_of_the_way_by_spectra(channels: int) -> None:
    ours = make_model(channels)
    for layer in ours.modules():
        if isinstance(layer, nn.PReLU):
            nn.init.ones_(layer.weight)  # at the kink of other slopes rounding decides the gradient
    theirs, config = copy.deepcopy(ours), ours.config.spectral
    x, weight = noisy(3, 4096), noisy(3, 4096).roll(7, 1)
    enhanced = NativeGTCRN(ours).enhance(x)
    expected = waveform(NativeGTCRN(theirs)(spectrum(x, config).contiguous()), config, 4096)
    assert (enhanced - expected).abs().max() <= 1e-5 * expected.abs().max()
    (enhanced * weight).sum().backward()
    (expected * weight).sum().backward()
    largest = max(float(p.grad.abs().max()) for p in theirs.parameters() if p.grad is not None)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5 * largest, rtol=2e-3)
    for statistics, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(statistics, other, atol=1e-5, rtol=1e-4)


def test_batches_of_several_shapes_take_turns() -> None:
    network = NativeGTCRN(make_model(16))
    first = [network.enhance(noisy(*shape)).detach() for shape in ((2, 2048), (2, 4096), (1, 2048), (2, 2048))]
    assert [x.shape for x in first] == [(2, 2048), (2, 4096), (1, 2048), (2, 2048)]
    torch.testing.assert_close(first[0], first[3])


def test_only_whole_hops_are_taken() -> None:
    network = NativeGTCRN(make_model(16))
    assert [network.takes(samples) for samples in (0, 255, 256, 300, 32_000)] == [False, False, True, False, True]
