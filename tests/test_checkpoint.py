"""Weights come back as they were written; whatever is not ours is refused in a sentence."""

from pathlib import Path

import numpy as np
import pytest
import torch
from networks import random_network
from safetensors.numpy import save_file

from gtcrn import checkpoint
from gtcrn.checkpoint import Checkpoint
from gtcrn.config import GTCRNConfig
from gtcrn.errors import CheckpointError, GtcrnError


def test_round_trip(tmp_path: Path) -> None:
    network = random_network(config=GTCRNConfig(input_exponent=0.5))
    checkpoint.write(tmp_path / "a.safetensors", checkpoint.from_model(network, {"licence": "MIT"}))
    found = checkpoint.read(tmp_path / "a.safetensors")
    assert found.config == network.config
    assert found.card == {"licence": "MIT"}
    restored = checkpoint.to_model(found)
    x = torch.randn(1, 2, 4, 257)
    with torch.no_grad():
        assert torch.equal(restored(x, restored.initial_state())[0], network(x, network.initial_state())[0])


def _damaged(path: Path) -> None:
    checkpoint.write(path, checkpoint.from_model(random_network()))
    path.write_bytes(path.read_bytes()[:-1000])


def _foreign(path: Path) -> None:
    save_file({"w": np.zeros(3, np.float32)}, path)


def _later(path: Path) -> None:
    save_file({"w": np.zeros(3, np.float32)}, path, {"gtcrn_format": "99", "config": "{}"})


def _unknown_setting(path: Path) -> None:
    save_file({"w": np.zeros(3, np.float32)}, path, {"gtcrn_format": "1", "config": '{"depth": 3}'})


def _text(path: Path) -> None:
    path.write_text("not weights")


CASES = [
    (_damaged, "damaged"),
    (_foreign, "no gtcrn_format"),
    (_later, "format version 99"),
    (_unknown_setting, "unknown network setting 'depth'"),
    (_text, "damaged or not a safetensors file"),
    (lambda path: None, "no weights at"),
]


@pytest.mark.parametrize(("make", "sentence"), CASES)
def test_what_cannot_be_read_is_named(tmp_path: Path, make, sentence: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "x.safetensors"
    make(path)
    with pytest.raises(CheckpointError, match=sentence):
        checkpoint.read(path)


def test_weights_that_may_not_be_read_are_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.safetensors"
    path.touch()

    def closed(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", closed)  # to root all is readable
    with pytest.raises(CheckpointError, match=r"x\.safetensors cannot be read: permission denied\."):
        checkpoint.read(path)


def test_a_foreign_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"not a torch file")
    with pytest.raises(CheckpointError, match="neither safetensors nor a published"):
        checkpoint.read(tmp_path / "x.tar")


def test_a_missing_weight_is_named() -> None:
    whole = checkpoint.from_model(random_network())
    weights = dict(whole.weights)
    weights.pop("encoder.first.conv.bias")
    with pytest.raises(CheckpointError, match=r"lack 'encoder\.first\.conv\.bias'"):
        checkpoint.to_model(Checkpoint(whole.config, weights))


def test_temporary_names_are_nobody_else_s(tmp_path: Path) -> None:
    """Not one that another process writes, or has put a link at."""
    (tmp_path / "victim").write_bytes(b"kept")
    (tmp_path / ".w.safetensors.partial").symlink_to(tmp_path / "victim")
    checkpoint.write(tmp_path / "w.safetensors", checkpoint.from_model(random_network()))
    assert checkpoint.read(tmp_path / "w.safetensors").weights
    assert (tmp_path / "victim").read_bytes() == b"kept"


def test_weights_that_cannot_be_written_are_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GtcrnError, match=r"cannot be written: not a directory\."):
        checkpoint.write(tmp_path / "file" / "w.safetensors", checkpoint.from_model(random_network()))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.write(path, checkpoint.from_model(random_network()))
    before = path.read_bytes()
    with pytest.raises(TypeError):
        checkpoint.write(path, Checkpoint(GTCRNConfig(), {}, {"odd": object()}))
    assert path.read_bytes() == before
