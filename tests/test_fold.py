"""Folding refuses what the kernel does not serve, and changes nothing but the form of the weights."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gtcrn import checkpoint, kernel
from gtcrn.checkpoint import Checkpoint
from gtcrn.config import GTCRNConfig, SpectralConfig
from gtcrn.errors import CheckpointError, ConfigError, GtcrnError
from gtcrn.kernel import fold as fold_module
from gtcrn.kernel.fold import fold
from gtcrn.network.model import GTCRN

Layout = tuple[tuple[str, int], ...]


@pytest.fixture(scope="module", params=[0, 12], ids=["bands alike", "groups of bands"])
def random_checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    return checkpoint.from_model(GTCRN(GTCRNConfig(shared_bands=request.param)))


def test_block_has_the_kernels_size_and_alignment(random_checkpoint: Checkpoint) -> None:
    params = fold(random_checkpoint)
    assert params.shape == (sum(floats for _, floats in kernel.SIZES[16][1]),)
    assert params.dtype == np.float32
    assert params.ctypes.data % 64 == 0


def _swapped(layout: Layout) -> Layout:
    """Encoder and decoder are of one size: the total tells nothing."""
    names = {"encoder": "decoder", "decoder": "encoder"}
    return tuple((names.get(name, name), floats) for name, floats in layout)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_swapped, r"expects decoder of \d+ floats where encoder of \d+ is written"),
        (lambda layout: layout[1:], "expects channels of 1 floats where input_roots of 1 is written"),
        (lambda layout: layout[:-1], r"expects nothing of 0 floats where transform of \d+ is written"),
        (lambda layout: (*layout, ("tail", 4)), "expects tail of 4 floats where nothing of 0 is written"),
        (lambda layout: (("input_roots", 2), *layout[1:]), "expects input_roots of 2 floats where input_roots of 1"),
    ],
)
def test_the_first_part_that_the_kernel_has_otherwise_is_named(
    random_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, change: Callable[[Layout], Layout], sentence: str
) -> None:
    state, layout = kernel.SIZES[16]
    monkeypatch.setattr(fold_module, "SIZES", {16: (state, change(layout))})
    with pytest.raises(GtcrnError, match=sentence):
        fold(random_checkpoint)


@pytest.mark.parametrize(
    "setting",
    [
        {"channels": 24},
        {"erb_high": 68},
        {"dilations": (1, 2, 4)},
        {"dual_path_blocks": 1},
        {"neighbours": 5},
        {"kernel_width": 3},
        {"shared_bands": 3},
        {"spectral": SpectralConfig(sample_rate=48_000)},
    ],
)
def test_other_architectures_are_refused_by_name(random_checkpoint: Checkpoint, setting: dict[str, Any]) -> None:
    config = dataclasses.replace(GTCRNConfig(), **setting)
    with pytest.raises(ConfigError, match=rf"the kernel serves {next(iter(setting))} = .* only, not .*"):
        fold(dataclasses.replace(random_checkpoint, config=config))


def test_what_the_kernel_serves_is_said_whole(random_checkpoint: Checkpoint) -> None:
    config = dataclasses.replace(GTCRNConfig(), shared_bands=3)
    with pytest.raises(ConfigError, match="serves shared_bands = 0 or 12 only, not 3;"):
        fold(dataclasses.replace(random_checkpoint, config=config))


def test_missing_and_odd_weights_are_named(random_checkpoint: Checkpoint) -> None:
    name = "encoder.blocks.1.attention.linear.bias"
    rest = {k: v for k, v in random_checkpoint.weights.items() if k != name}
    with pytest.raises(CheckpointError, match=name):
        fold(dataclasses.replace(random_checkpoint, weights=rest))
    with pytest.raises(CheckpointError, match=rf"{name}.*\(3,\)"):
        fold(dataclasses.replace(random_checkpoint, weights=rest | {name: np.zeros(3, np.float32)}))


def test_every_weight_reaches_the_block(random_checkpoint: Checkpoint) -> None:
    """A weight that folding forgot would be one whose change changes nothing."""
    before = fold(random_checkpoint)
    for name, value in random_checkpoint.weights.items():
        changed = random_checkpoint.weights | {name: value + np.float32(0.5)}
        assert np.any(fold(dataclasses.replace(random_checkpoint, weights=changed)) != before), name
