"""The ONNX graph, frame by frame in ONNX Runtime, equals the torch network and the kernel."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import soundfile
import torch
from networks import random_network

import gtcrn
from gtcrn import Denoiser, checkpoint
from gtcrn.cli.app import run
from gtcrn.config import GTCRNConfig
from gtcrn.network.export import export_onnx


def test_the_command_writes_a_graph(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "w.safetensors", checkpoint.from_model(random_network()))
    arguments = ["weights", "export", str(tmp_path / "w.safetensors"), "-o", str(tmp_path / "g.onnx")]
    assert run(arguments) == 0
    assert onnxruntime.InferenceSession(tmp_path / "g.onnx").get_inputs()[0].shape == ["batch", 2, 1, 257]
    assert run(["weights", "export", str(tmp_path / "none.safetensors"), "-o", str(tmp_path / "g.onnx")]) == 2
    assert run(["export", "gtcrn", "-o", str(tmp_path / "s.onnx"), "--format", "sherpa"]) == 0
    assert onnxruntime.InferenceSession(tmp_path / "s.onnx").get_inputs()[1].shape == [2, 1, 16, 16, 33]
    assert run(["export", "-o", str(tmp_path / "g.onnx"), "--shape", "circle"]) == 2


def zeros(session: onnxruntime.InferenceSession, batch: int) -> dict[str, np.ndarray]:
    return {entry.name: np.zeros([batch, *entry.shape[1:]], np.float32) for entry in session.get_inputs()}


def test_the_graph_equals_the_network_over_many_frames(tmp_path: Path) -> None:
    network = random_network(config=GTCRNConfig(input_exponent=0.25))
    export_onnx(checkpoint.from_model(network), tmp_path / "gtcrn.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "gtcrn.onnx")
    assert session.get_modelmeta().custom_metadata_map["hop"] == "256"
    frames = torch.randn(1, 2, 14, 257, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, _ = network(frames, network.initial_state())
    feeds = zeros(session, 1)
    states = [name for name in feeds if name != "spectrum"]
    for index in range(frames.shape[2]):
        feeds["spectrum"] = frames[:, :, index : index + 1].numpy()
        enhanced, *after = session.run(None, feeds)
        feeds.update(zip(states, after, strict=True))
        np.testing.assert_allclose(enhanced[:, :, 0], expected[:, :, index].numpy(), atol=1e-4)


def test_streams_of_a_batch_do_not_hear_each_other(tmp_path: Path) -> None:
    weights = checkpoint.from_model(random_network())
    export_onnx(weights, tmp_path / "gtcrn.onnx", "samples")
    session = onnxruntime.InferenceSession(tmp_path / "gtcrn.onnx")
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
        np.testing.assert_allclose(row, Denoiser(weights)(alone)[: len(row)], atol=1e-4)


def test_the_graph_is_small(tmp_path: Path) -> None:
    export_onnx(checkpoint.from_model(random_network()), tmp_path / "gtcrn.onnx")
    nodes = onnx.load(tmp_path / "gtcrn.onnx").graph.node
    assert len(nodes) < 415  # of the published file
    assert not {"Loop", "If", "SequenceAt"} & {node.op_type for node in nodes}  # what small runtimes lack


def test_the_example_streams(tmp_path: Path) -> None:
    export_onnx(gtcrn.load().checkpoint, tmp_path / "gtcrn.onnx", "samples")
    root = Path(__file__).parent.parent
    command = [sys.executable, f"{root}/gtcrn/ports/examples/onnx_stream.py", "gtcrn.onnx", f"{root}/samples/noisy.wav"]
    subprocess.run([*command, "clean.wav"], cwd=tmp_path, check=True)
    clean, rate = soundfile.read(tmp_path / "clean.wav", dtype="float32")
    noisy, _ = soundfile.read(root / "samples/noisy.wav", dtype="float32")
    np.testing.assert_allclose(clean, gtcrn.load()(noisy, rate), atol=1e-4)
