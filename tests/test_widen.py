"""A larger network that starts from a smaller one computes the same, and its copies learn different things."""

from dataclasses import replace

import pytest
import torch
from networks import random_network

from gtcrn.config import GTCRNConfig
from gtcrn.errors import ConfigError
from gtcrn.network.model import GTCRN
from gtcrn_recipes.training.widen import UNREAD, block_origins, widen

NARROW = GTCRNConfig(channels=8, input_exponent=0.25)


def narrow() -> GTCRN:
    return random_network(3, NARROW)


def enhanced(model: GTCRN) -> torch.Tensor:
    spectrum = torch.randn(2, 2, 25, NARROW.spectral.bins, generator=torch.Generator().manual_seed(4))
    y: torch.Tensor = model(spectrum, model.initial_state(2))[0]
    return y


@pytest.mark.parametrize(
    ("channels", "had", "shared", "paths"),
    [
        *((16, 0, 0, 2), (24, 0, 0, 2), (32, 0, 0, 2), (8, 0, 12, 2), (16, 0, 12, 2), (16, 12, 12, 2), (8, 0, 1, 2)),
        *((8, 12, 12, 3), (16, 0, 12, 4)),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_the_wide_network_computes_what_the_narrow_one_does(
    channels: int, had: int, shared: int, paths: int, training: bool
) -> None:
    small = random_network(3, replace(NARROW, shared_bands=had))
    wide = widen(small, replace(NARROW, channels=channels, shared_bands=shared, dual_path_blocks=paths))
    with torch.no_grad():
        expected, got = (enhanced(model.train(training)) for model in (small, wide))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_copies_of_a_channel_get_different_gradients() -> None:
    wide = widen(narrow(), replace(NARROW, channels=16)).train()
    enhanced(wide).square().mean().backward()
    origins = block_origins(16, 8)
    copies = (origins == 0).nonzero().flatten()
    gradient = wide.encoder.second.conv.weight.grad
    assert gradient is not None
    assert len(copies) == 2
    assert not torch.allclose(gradient[copies[0]], gradient[copies[1]], rtol=0.05)


def test_most_channels_are_copies_and_every_narrow_one_has_some() -> None:
    origins = block_origins(32, 16)
    assert int((origins == UNREAD).sum()) == 5
    assert set(origins.tolist()) - {UNREAD} == set(range(16))


def test_a_further_block_learns_though_it_adds_nothing_yet() -> None:
    deep = widen(narrow(), replace(NARROW, dual_path_blocks=3)).train()
    optimizer = torch.optim.SGD(deep.dual_path[2].parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        enhanced(deep).square().mean().backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in deep.dual_path[2].parameters())


@pytest.mark.parametrize(
    "change", [{"channels": 12}, {"channels": 8}, {"channels": 16, "dilations": (1, 2)}, {"dual_path_blocks": 1}]
)
def test_other_networks_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="several times the channels"):
        widen(narrow(), GTCRNConfig.from_dict({**NARROW.to_dict(), **change}))


def test_a_width_that_has_no_place_for_every_channel_is_refused() -> None:
    with pytest.raises(ConfigError, match="several times the channels"):
        widen(random_network(3, replace(NARROW, channels=12)), replace(NARROW, channels=24))


@pytest.mark.parametrize("shared", [0, 3])
def test_groups_of_bands_are_not_regrouped(shared: int) -> None:
    grouped = random_network(3, replace(NARROW, shared_bands=12))
    with pytest.raises(ConfigError, match="groups of bands"):
        widen(grouped, replace(NARROW, shared_bands=shared))
