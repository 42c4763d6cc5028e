"""The network equals the published one, streams without a seam, and is as large as the paper says."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from contract import verify_contract
from networks import random_network

from gtcrn import checkpoint
from gtcrn.config import GTCRNConfig, SpectralConfig
from gtcrn.erb import erb_matrix
from gtcrn.errors import ConfigError
from gtcrn.network.costs import costs, separable_pairs, separable_weights, standard_weights
from gtcrn.network.model import GTCRN, count_parameters, features


@pytest.mark.parametrize("name", ["dns3", "vctk"])
def test_published_checkpoint_gives_the_published_output(shared: Path, name: str) -> None:
    """Through the published front end: torch.stft with reflection at both ends."""
    folder = shared / "reference"
    model = checkpoint.to_model(checkpoint.read(folder / f"model_trained_on_{name}.tar"))
    mix, _ = soundfile.read(folder / "mix.wav", dtype="float32")
    expected, _ = soundfile.read(folder / f"enhanced_{name}.wav", dtype="float32")
    window = torch.hann_window(512).sqrt()
    spectrum = torch.stft(torch.from_numpy(mix), 512, 256, window=window, return_complex=True)
    with torch.no_grad():
        y, _ = model(torch.view_as_real(spectrum).permute(2, 1, 0)[None], model.initial_state())
    enhanced = torch.istft(torch.complex(y[0, 0], y[0, 1]).T, 512, 256, window=window, length=len(mix))
    assert np.abs(enhanced.numpy() - expected).max() < 1e-5


def test_erb_matrix_equals_the_published(shared: Path) -> None:
    path = shared / "reference" / "model_trained_on_dns3.tar"
    published = torch.load(path, map_location="cpu", weights_only=True)["model"]["erb.erb_fc.weight"]
    np.testing.assert_allclose(erb_matrix(GTCRNConfig()), published.numpy(), atol=1e-6)


def test_erb_bands_add_up_to_one() -> None:
    np.testing.assert_allclose(erb_matrix(GTCRNConfig()).sum(0), 1, atol=1e-6)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("exponent", [1.0, 0.5, 0.25])
def test_the_network_keeps_the_contract(exponent: float) -> None:
    network = random_network(config=GTCRNConfig(input_exponent=exponent))
    verify_contract(network, network.initial_state, drawn(2, 2, 14, 257))


def test_a_smaller_configuration_keeps_the_contract() -> None:
    """No width is written into a layer."""
    config = GTCRNConfig(SpectralConfig(n_fft=256, hop=128), erb_low=33, erb_high=32, channels=8, dilations=(1, 3))
    network = random_network(config=config)
    verify_contract(network, network.initial_state, drawn(2, 2, 14, 129))


def test_learned_parameters_are_those_of_the_paper() -> None:
    assert count_parameters(GTCRN()) == 23_669
    assert sum(row.parameters for row in costs()) == 23_669


@pytest.mark.parametrize(("shared", "parameters"), [(12, 33_909), (3, 74_869), (33, 23_669)])
def test_groups_of_bands_cost_parameters_and_no_macs(shared: int, parameters: int) -> None:
    alike, grouped = costs(), costs(GTCRNConfig(shared_bands=shared))
    assert sum(row.parameters for row in grouped) == parameters
    assert [row.macs for row in grouped] == [row.macs for row in alike]


def test_cost_stays_below_the_published() -> None:
    """33 MMAC/s by the paper's repository, which counts dense ERB matrices and element-wise work too."""
    assert 20e6 < sum(row.macs for row in costs()) < 33e6


def test_each_position_of_a_transposed_convolutions_input_counts_once() -> None:
    macs = {row.name: row.macs for row in costs()}
    for side in ("first", "second"):  # a decoder's has as many inputs as the encoder's has outputs
        weights = {"first": 2 / 9, "second": 1}[side]
        assert macs[f"decoder.{side}.conv"] == pytest.approx(weights * macs[f"encoder.{side}.conv"])


def test_depthwise_separable_weights() -> None:
    assert (separable_weights(16, 32, 3), standard_weights(16, 32, 3)) == (656, 4608)
    assert (separable_weights(3, 4, 3), standard_weights(3, 4, 3)) == (39, 108)
    for pair in separable_pairs():
        assert pair.standard_macs
        assert pair.macs / pair.standard_macs == pytest.approx(1 / 8 + 1 / 9)


@pytest.mark.parametrize("exponent", [1.0, 0.5, 0.25])
def test_features_compress_the_magnitude_and_keep_the_phase(exponent: float) -> None:
    spectrum = drawn(1, 2, 3, 5).double()
    magnitude, real, imag = features(spectrum, exponent).unbind(1)
    x = torch.complex(*spectrum.unbind(1))
    torch.testing.assert_close(magnitude, x.abs() ** exponent, rtol=1e-6, atol=0)
    torch.testing.assert_close(torch.complex(real, imag).angle(), x.angle())


@pytest.mark.parametrize(
    "values",
    [
        {"erb_low": 300},
        {"channels": 6},
        {"kernel_width": 4},
        {"neighbours": 2},
        {"erb_high": 63},
        {"input_exponent": 0.3},
        {"widths": 3},
    ],
)
def test_an_impossible_configuration_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        GTCRNConfig.from_dict(values)
