"""The ONNX graph, frame by frame in ONNX Runtime, equals the torch network and the kernel."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import onnxslim
import pytest
import soundfile
import torch
from contract import verify_contract
from networks import random_network
from torch import Tensor

import gtcrn
from gtcrn import checkpoint
from gtcrn.cli.app import run
from gtcrn.config import GTCRNConfig
from gtcrn.network.export import export_onnx
from gtcrn.network.model import GTCRN


def test_the_command_writes_a_graph(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "w.safetensors", checkpoint.from_model(random_network()))
    arguments = ["weights", "export", str(tmp_path / "w.safetensors"), "-o", str(tmp_path / "g.onnx")]
    assert run(arguments) == 0
    assert onnxruntime.InferenceSession(tmp_path / "g.onnx").get_inputs()[0].shape == ["batch", 2, 1, 257]
    assert run(["weights", "export", str(tmp_path / "none.safetensors"), "-o", str(tmp_path / "g.onnx")]) == 2
    assert run(["export", "gtcrn", "-o", str(tmp_path / "s.onnx"), "--format", "sherpa"]) == 0
    assert onnxruntime.InferenceSession(tmp_path / "s.onnx").get_inputs()[1].shape == [2, 1, 16, 16, 33]
    assert run(["export", "-o", str(tmp_path / "g.onnx"), "--shape", "circle"]) == 2


def test_a_shape_that_sherpa_does_not_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "-o", str(tmp_path / "g.onnx"), "--format", "sherpa", "--shape", "samples"]) == 2
    assert "--shape goes with --format onnx" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_fails_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "g.onnx").write_text("earlier")

    def fail(model: object) -> None:
        raise ValueError("no memory")

    monkeypatch.setattr(onnxslim, "slim", fail)
    with pytest.raises(ValueError, match="no memory"):
        export_onnx(gtcrn.load().checkpoint, tmp_path / "g.onnx")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["earlier"]


def test_an_export_has_to_go_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "-o", str(tmp_path)]) == 2
    assert "is no ordinary file and cannot be written" in capsys.readouterr().err


@pytest.fixture(scope="module", params=[0, 12], ids=["bands alike", "groups of bands"])
def network(request: pytest.FixtureRequest) -> GTCRN:
    return random_network(config=GTCRNConfig(input_exponent=0.25, shared_bands=request.param))


@pytest.fixture(scope="module")
def spectral(network: GTCRN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its graph from spectrum to spectrum."""
    path = tmp_path_factory.mktemp("spectral") / "gtcrn.onnx"
    export_onnx(checkpoint.from_model(network), path)
    return path


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped weights as a graph from samples to samples."""
    path = tmp_path_factory.mktemp("sampled") / "gtcrn.onnx"
    export_onnx(gtcrn.load().checkpoint, path, "samples")
    return path


def zeros(session: onnxruntime.InferenceSession, batch: int) -> dict[str, np.ndarray]:
    return {entry.name: np.zeros([batch, *entry.shape[1:]], np.float32) for entry in session.get_inputs()}


def test_the_graph_equals_the_network_and_keeps_the_contract(network: GTCRN, spectral: Path) -> None:
    session = onnxruntime.InferenceSession(spectral)
    assert session.get_modelmeta().custom_metadata_map["hop"] == "256"
    names = [name for name in zeros(session, 1) if name != "spectrum"]

    def layer(x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        frames = []
        for frame in x.split(1, dim=2):
            feeds = {"spectrum": frame.numpy(), **{n: part.numpy() for n, part in zip(names, state, strict=True)}}
            enhanced, *state = map(torch.from_numpy, session.run(None, feeds))
            frames.append(enhanced)
        return torch.cat(frames, dim=2), tuple(state)

    def silence(batch: int) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(zeros(session, batch)[name]) for name in names)

    frames = torch.randn(2, 2, 14, 257, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, _ = network(frames, network.initial_state(2))
    torch.testing.assert_close(layer(frames, silence(2))[0], expected, atol=1e-4, rtol=0)
    verify_contract(layer, silence, frames, differentiable=False)


def test_streams_of_a_batch_do_not_hear_each_other(sampled: Path) -> None:
    session = onnxruntime.InferenceSession(sampled)
    noisy = np.random.default_rng(0).standard_normal((3, 20 * 256)).astype(np.float32)

    def enhanced(rows: np.ndarray) -> np.ndarray:
        feeds, hops = zeros(session, len(rows)), []
        states = [name for name in feeds if name != "samples"]
        for start in range(0, rows.shape[1], 256):
            hop, *after = session.run(None, {**feeds, "samples": rows[:, start : start + 256]})
            feeds.update(zip(states, after, strict=True))
            hops.append(hop)
        return np.concatenate(hops[1:], axis=1)

    together = enhanced(noisy)
    for row, alone in zip(together, noisy, strict=True):
        np.testing.assert_allclose(row, enhanced(alone[None])[0], atol=1e-5)
        np.testing.assert_allclose(row, gtcrn.load()(alone)[: len(row)], atol=1e-4)


def test_the_graph_is_small(network: GTCRN, spectral: Path) -> None:
    nodes = onnx.load(spectral).graph.node
    assert len(nodes) < (415 if network.config.band_groups == 1 else 600)  # 415: of the published file
    assert not {"Loop", "If", "SequenceAt"} & {node.op_type for node in nodes}  # what small runtimes lack


def test_the_example_streams(sampled: Path, tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    command = [sys.executable, f"{root}/gtcrn/ports/examples/onnx_stream.py", str(sampled), f"{root}/samples/noisy.wav"]
    subprocess.run([*command, "clean.wav"], cwd=tmp_path, check=True)
    clean, rate = soundfile.read(tmp_path / "clean.wav", dtype="float32")
    noisy, _ = soundfile.read(root / "samples/noisy.wav", dtype="float32")
    np.testing.assert_allclose(clean, gtcrn.load()(noisy, rate), atol=1e-4)


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (16_000, 2)])
def test_the_example_refuses_what_it_would_hear_wrongly(
    sampled: Path, tmp_path: Path, rate: int, channels: int
) -> None:
    soundfile.write(tmp_path / "in.wav", np.zeros((1_000, channels)), rate)
    example = Path(__file__).parent.parent / "gtcrn/ports/examples/onnx_stream.py"
    command = [sys.executable, str(example), str(sampled), "in.wav", "out.wav"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("in.wav must be mono at 16 kHz: ")
    assert not (tmp_path / "out.wav").exists()
