"""ONNX: the network for one frame, its state as explicit inputs and outputs, for other runtimes."""

import json
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from gtcrn import checkpoint
from gtcrn.checkpoint import Checkpoint
from gtcrn.network.model import GTCRN


class OneFrame(nn.Module):
    """spectrum (1, 2, 1, bins) and the state as flat tensors -> enhanced spectrum and the new state."""

    def __init__(self, network: GTCRN) -> None:
        super().__init__()
        self.network = network
        _, self.form = pytree.tree_flatten(network.initial_state())

    def forward(self, spectrum: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        y, after = self.network(spectrum, pytree.tree_unflatten(state, self.form))
        return (y, *pytree.tree_leaves(after))


def export_onnx(weights: Checkpoint, path: Path) -> None:
    """Write an ONNX graph; state k goes in as `state_k` and comes out as `next_state_k`, zeros before the first frame.

    The metadata holds sample rate, window and hop, so that a runtime needs nothing else.
    """
    network = checkpoint.to_model(weights)
    state = pytree.tree_leaves(network.initial_state())
    inputs = ["spectrum", *(f"state_{k}" for k in range(len(state)))]
    outputs = ["enhanced", *(f"next_state_{k}" for k in range(len(state)))]
    frame = torch.zeros(1, 2, 1, weights.config.spectral.bins)
    with torch.no_grad(), warnings.catch_warnings():  # a gradient would trace the training's recurrence, step by step
        warnings.simplefilter("ignore")  # of its own age, and of a batch that is fixed on purpose
        torch.onnx.export(
            OneFrame(network).eval(), (frame, *state), path, input_names=inputs, output_names=outputs, dynamo=False
        )
    graph = onnx.load(path)
    onnx.helper.set_model_props(graph, _metadata(weights))
    onnx.save(graph, path)


def _metadata(weights: Checkpoint) -> dict[str, str]:
    values: dict[str, Any] = weights.config.to_dict()
    spectral = {name: str(value) for name, value in values["spectral"].items()}
    return {"gtcrn_config": json.dumps(values), **spectral}
