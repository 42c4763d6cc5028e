"""Weights of any content are weights of this network, or are refused in a sentence."""

import contextlib
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import random_network
from safetensors.numpy import save, save_file

import gtcrn
from gtcrn import checkpoint
from gtcrn.config import GTCRNConfig
from gtcrn.errors import CheckpointError, ConfigError
from gtcrn.kernel.fold import fold

pytestmark = pytest.mark.attack
many = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
few = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

WHOLE = checkpoint.from_model(random_network())
METADATA = {"gtcrn_format": "1", "config": json.dumps(WHOLE.config.to_dict()), "card": "{}"}
BYTES = save(WHOLE.weights, METADATA)
HEADER = 8 + struct.unpack("<Q", BYTES[:8])[0]


def judged(path: Path) -> None:
    """Loaded and run, or refused with one sentence."""
    with contextlib.suppress(CheckpointError, ConfigError):
        assert np.isfinite(gtcrn.load(path).params).all()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights") / "w.safetensors"


@many
@given(flips=st.lists(st.tuples(st.integers(0, len(BYTES) - 1), st.integers(1, 255)), min_size=1, max_size=8))
def test_flipped_bytes(path: Path, flips: list[tuple[int, int]]):
    data = bytearray(BYTES)
    for place, change in flips:
        data[place] ^= change
    path.write_bytes(data)
    judged(path)


@many
@given(flips=st.lists(st.tuples(st.integers(0, HEADER - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bytes_of_the_header(path: Path, flips: list[tuple[int, int]]):
    test_flipped_bytes.hypothesis.inner_test(path, flips)


@few
@given(length=st.integers(0, len(BYTES)), tail=st.binary(max_size=64))
def test_cut_and_continued(path: Path, length: int, tail: bytes):
    path.write_bytes(BYTES[:length] + tail)
    judged(path)


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([*GTCRNConfig().to_dict(), "depth"])
spectra = st.dictionaries(st.sampled_from(["sample_rate", "n_fft", "hop", "x"]), anything, max_size=3)


@many
@given(config=st.dictionaries(names, anything | spectra, max_size=4) | anything, card=anything)
def test_any_configuration_and_card(path: Path, config: Any, card: Any):
    save_file(WHOLE.weights, path, {"gtcrn_format": "1", "config": json.dumps(config), "card": json.dumps(card)})
    judged(path)


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, '{"a":' * 100_000, "1" * 5_000, " " * (1 << 21) + "{}"])
def test_json_without_bounds(path: Path, text: str):
    for key in ("config", "card"):
        save_file(WHOLE.weights, path, {**METADATA, key: text})
        with pytest.raises(CheckpointError, match="unusable configuration"):
            checkpoint.read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(path: Path, value: float):
    for name in ("encoder.first.conv.bias", "dual_path.0.intra_norm.weight"):
        odd = np.full_like(WHOLE.weights[name], value)
        checkpoint.write(path, checkpoint.Checkpoint(WHOLE.config, {**WHOLE.weights, name: odd}))
        with pytest.raises(CheckpointError, match="is not finite"):
            checkpoint.read(path)


def test_a_variance_below_zero(path: Path):
    name = "encoder.first.norm.running_var"
    odd = WHOLE.weights[name] - 100
    checkpoint.write(path, checkpoint.Checkpoint(WHOLE.config, {**WHOLE.weights, name: odd}))
    with pytest.raises(CheckpointError, match="a variance below zero"):
        checkpoint.read(path)


def test_weights_whose_products_overflow():
    name = "encoder.second.norm.weight"
    odd = np.full_like(WHOLE.weights[name], 3e38)
    name2 = "encoder.second.conv.weight"
    weights = {**WHOLE.weights, name: odd, name2: np.full_like(WHOLE.weights[name2], 1e5)}
    with pytest.raises(CheckpointError, match="beyond what float32 holds"):
        fold(checkpoint.Checkpoint(WHOLE.config, weights))


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int32, np.bool_, np.complex64])
def test_weights_of_other_kinds(path: Path, kind: type):
    try:
        save_file({**WHOLE.weights, "encoder.first.conv.bias": np.zeros(16, kind)}, path, METADATA)
    except Exception:
        pytest.skip("cannot be written")
    with pytest.raises(CheckpointError, match="not float32"):
        checkpoint.read(path)


TENSORS = {"encoder.en_convs.0.conv.weight": torch.zeros(16, 9, 1, 5)}
TARS: dict[str, Any] = {
    "a number": 3,
    "no model": {"weights": {}},
    "a list": {"model": [1, 2]},
    "numbers": {"model": {"a": 1.0}},
    "no names": {"model": {3: torch.zeros(1)}},
    "nothing": {"model": {}},
    "one of them": {"model": TENSORS},
    "another shape": {"model": {"decoder.de_convs.0.point_conv1.weight": torch.zeros(2)}},
    "beyond the layers": {"model": {"encoder.en_convs.9.conv.weight": torch.zeros(1)}},
    "sparse": {"model": {"a": torch.zeros(3).to_sparse()}},
    "half": {"model": {"a": torch.zeros(3, dtype=torch.bfloat16)}},
}


@pytest.mark.parametrize("what", TARS)
def test_a_tar_of_any_content(tmp_path: Path, what: str):
    torch.save(TARS[what], tmp_path / "x.tar")
    with pytest.raises(CheckpointError, match="neither safetensors nor a published"):
        checkpoint.read(tmp_path / "x.tar")


def test_a_tar_that_unpacks_to_too_much(tmp_path: Path):

    with (
        zipfile.ZipFile(tmp_path / "x.tar", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x/data/0", "w") as file,
    ):
        for _ in range(300):
            file.write(b"\0" * (1 << 20))
    with pytest.raises(CheckpointError, match="neither safetensors nor a published"):
        checkpoint.read(tmp_path / "x.tar")


@few
@given(data=st.data())
def test_mutated_tars(path: Path, data: st.DataObject):
    tar = path.with_name("x.tar")
    if not tar.with_suffix(".whole").exists():
        torch.save({"model": {f"encoder.en_convs.{i}.conv.weight": torch.zeros(16, 9) for i in range(3)}}, tar)
        tar.with_suffix(".whole").write_bytes(tar.read_bytes())
    content = bytearray(tar.with_suffix(".whole").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    tar.write_bytes(content)
    with pytest.raises(CheckpointError):
        checkpoint.read(tar)
