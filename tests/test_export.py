"""The ONNX graph, frame by frame in ONNX Runtime, equals the torch network."""

from pathlib import Path

import numpy as np
import onnxruntime
import torch
from networks import random_network

from gtcrn import checkpoint
from gtcrn.cli.app import run
from gtcrn.config import GTCRNConfig
from gtcrn.network.export import export_onnx


def test_the_command_writes_a_graph(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "w.safetensors", checkpoint.from_model(random_network()))
    arguments = ["weights", "export", str(tmp_path / "w.safetensors"), "-o", str(tmp_path / "g.onnx")]
    assert run(arguments) == 0
    assert onnxruntime.InferenceSession(tmp_path / "g.onnx").get_inputs()[0].shape == [1, 2, 1, 257]
    assert run(["weights", "export", str(tmp_path / "none.safetensors"), "-o", str(tmp_path / "g.onnx")]) == 2


def test_the_graph_equals_the_network_over_many_frames(tmp_path: Path) -> None:
    network = random_network(config=GTCRNConfig(input_exponent=0.25))
    export_onnx(checkpoint.from_model(network), tmp_path / "gtcrn.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "gtcrn.onnx")
    assert session.get_modelmeta().custom_metadata_map["hop"] == "256"
    frames = torch.randn(1, 2, 14, 257, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, _ = network(frames, network.initial_state())
    feeds = {entry.name: np.zeros(entry.shape, np.float32) for entry in session.get_inputs()}
    states = [name for name in feeds if name != "spectrum"]
    for index in range(frames.shape[2]):
        feeds["spectrum"] = frames[:, :, index : index + 1].numpy()
        enhanced, *after = session.run(None, feeds)
        feeds.update(zip(states, after, strict=True))
        np.testing.assert_allclose(enhanced[:, :, 0], expected[:, :, index].numpy(), atol=1e-4)
