"""Weights of any content are weights of this network, or are refused in a sentence: 10,000 files by Hypothesis."""

import itertools
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile import in_a_sentence
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_network
from safetensors.numpy import save, save_file
from streams import noise

import gtcrn
from gtcrn import checkpoint
from gtcrn.config import GTCRNConfig
from gtcrn.errors import CheckpointError, ConfigError
from gtcrn.kernel.fold import fold

pytestmark = pytest.mark.attack
many = settings(max_examples=3_000)
few = settings(max_examples=1_000)

WHOLE = checkpoint.from_model(random_network())
METADATA = {"gtcrn_format": "1", "config": json.dumps(WHOLE.config.to_dict()), "card": "{}"}
BYTES = save(WHOLE.weights, METADATA)
HEADER = 8 + struct.unpack("<Q", BYTES[:8])[0]
SOUND = noise(1_300)


def judged(path: Path) -> None:
    """Loaded and run, or refused with one sentence."""
    try:
        denoiser = gtcrn.load(path)
    except (CheckpointError, ConfigError) as error:
        in_a_sentence(error)
        return
    assert np.isfinite(denoiser.params).all()
    assert np.isfinite(denoiser(SOUND, 16_000)).all()


def flipped(path: Path, flips: list[tuple[int, int]]) -> None:
    data = bytearray(BYTES)
    for place, change in flips:
        data[place] ^= change
    path.write_bytes(data)
    judged(path)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights") / "w.safetensors"


@many
@given(flips=st.lists(st.tuples(st.integers(0, len(BYTES) - 1), st.integers(1, 255)), min_size=1, max_size=8))
def test_flipped_bytes(path: Path, flips: list[tuple[int, int]]) -> None:
    flipped(path, flips)


@many
@given(flips=st.lists(st.tuples(st.integers(0, HEADER - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bytes_of_the_header(path: Path, flips: list[tuple[int, int]]) -> None:
    flipped(path, flips)


@few
@given(length=st.integers(0, len(BYTES)), tail=st.binary(max_size=64))
def test_cut_and_continued(path: Path, length: int, tail: bytes) -> None:
    path.write_bytes(BYTES[:length] + tail)
    judged(path)


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([*GTCRNConfig().to_dict(), "depth"])
spectra = st.dictionaries(st.sampled_from(["sample_rate", "n_fft", "hop", "x"]), anything, max_size=3)


@few
@given(config=st.dictionaries(names, anything | spectra, max_size=4) | anything, card=anything)
def test_any_configuration_and_card(path: Path, config: Any, card: Any) -> None:
    save_file(WHOLE.weights, path, {"gtcrn_format": "1", "config": json.dumps(config), "card": json.dumps(card)})
    judged(path)


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, '{"a":' * 100_000, "1" * 5_000, " " * (1 << 21) + "{}"])
def test_json_without_bounds(path: Path, text: str) -> None:
    for key in ("config", "card"):
        save_file(WHOLE.weights, path, {**METADATA, key: text})
        with pytest.raises(CheckpointError, match="unusable configuration"):
            checkpoint.read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(path: Path, value: float) -> None:
    for name in ("encoder.first.conv.bias", "dual_path.0.intra_norm.weight"):
        odd = np.full_like(WHOLE.weights[name], value)
        checkpoint.write(path, checkpoint.Checkpoint(WHOLE.config, {**WHOLE.weights, name: odd}))
        with pytest.raises(CheckpointError, match="is not finite"):
            checkpoint.read(path)


def test_a_variance_below_zero(path: Path) -> None:
    name = "encoder.first.norm.running_var"
    odd = WHOLE.weights[name] - 100
    checkpoint.write(path, checkpoint.Checkpoint(WHOLE.config, {**WHOLE.weights, name: odd}))
    with pytest.raises(CheckpointError, match="a variance below zero"):
        checkpoint.read(path)


def test_weights_whose_products_overflow() -> None:
    name = "encoder.second.norm.weight"
    odd = np.full_like(WHOLE.weights[name], 3e38)
    name2 = "encoder.second.conv.weight"
    weights = {**WHOLE.weights, name: odd, name2: np.full_like(WHOLE.weights[name2], 1e5)}
    with pytest.raises(CheckpointError, match="beyond what float32 holds"):
        fold(checkpoint.Checkpoint(WHOLE.config, weights))


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int32, np.bool_, np.complex64])
def test_weights_of_other_kinds(path: Path, kind: type) -> None:
    save_file({**WHOLE.weights, "encoder.first.conv.bias": np.zeros(16, kind)}, path, METADATA)
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
def test_a_tar_of_any_content(tmp_path: Path, what: str) -> None:
    torch.save(TARS[what], tmp_path / "x.tar")
    with pytest.raises(CheckpointError, match="neither safetensors nor a published"):
        checkpoint.read(tmp_path / "x.tar")


def test_a_tar_that_unpacks_to_too_much(tmp_path: Path) -> None:

    with (
        zipfile.ZipFile(tmp_path / "x.tar", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x/data/0", "w") as file,
    ):
        for _ in range(300):
            file.write(b"\0" * (1 << 20))
    with pytest.raises(CheckpointError, match="neither safetensors nor a published"):
        checkpoint.read(tmp_path / "x.tar")


class Running:
    """What unpickling would run."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


def test_a_tar_runs_nothing(tmp_path: Path) -> None:
    torch.save({"model": {"a": Running(tmp_path / "ran")}}, tmp_path / "x.tar")
    (tmp_path / "y.tar").write_bytes(pickle.dumps(Running(tmp_path / "ran")))
    for name in ("x.tar", "y.tar"):
        with pytest.raises(CheckpointError):
            checkpoint.read(tmp_path / name)
    assert not (tmp_path / "ran").exists()


published = [
    f"{part}.{layer}"
    for part, layer in itertools.product(
        [f"encoder.en_convs.{i}" for i in range(6)] + [f"decoder.de_convs.{i}" for i in range(6)] + ["dpgrnn1", "erb"],
        ["conv.weight", "bn.running_var", "point_conv1.weight", "depth_conv.weight", "tra.att_gru.bias_ih_l0",
         "intra_rnn.rnn1.weight_ih_l0", "intra_fc.weight", "num_batches_tracked"],
    )
]  # fmt: skip
kinds = st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
tensors = st.builds(torch.zeros, st.lists(st.integers(0, 9), max_size=5), dtype=kinds)
keys = st.sampled_from([*published, "model", "state_dict"]) | st.text(max_size=5) | st.integers()
contents = st.recursive(
    tensors | st.none() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=12,
)


@few
@given(content=st.fixed_dictionaries({"model": contents}) | contents)
def test_tars_of_any_content(path: Path, content: Any) -> None:
    torch.save(content, path.with_name("x.tar"))
    with pytest.raises(CheckpointError, match="neither safetensors nor a published"):
        checkpoint.read(path.with_name("x.tar"))


@few
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8))
def test_mutated_tars(path: Path, changes: list[tuple[float, int]]) -> None:
    content = bytearray(published_tar(path.with_name("whole.tar")))
    for place, value in changes:
        content[int(place * len(content))] = value
    tar = path.with_name("x.tar")
    tar.write_bytes(content)
    with pytest.raises(CheckpointError):
        checkpoint.read(tar)


def published_tar(path: Path) -> bytes:
    """Of a few of the published names."""
    if not path.exists():
        torch.save({"model": {f"encoder.en_convs.{i}.conv.weight": torch.zeros(16, 9) for i in range(3)}}, path)
    return path.read_bytes()
