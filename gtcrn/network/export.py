"""Graphs for other runtimes: the network for one frame, all that it remembers as inputs and outputs.

Three shapes of the same weights: `spectrum` (the runtime does the Fourier transforms), `samples` (they are inside: a
hop in, a hop out), and `sherpa`, the one that sherpa-onnx reads as a model of type gtcrn.
"""

import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxslim
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from gtcrn import checkpoint
from gtcrn.audio.place import whole
from gtcrn.checkpoint import Checkpoint
from gtcrn.config import SpectralConfig
from gtcrn.errors import ConfigError
from gtcrn.network.layers import GTConvState
from gtcrn.network.model import GTCRN, GTCRNState

OPSET = 17  # the lowest with LayerNormalization as one node


class Graph(NamedTuple):
    """A module with flat tensors in and out, examples of its inputs, the names of both, and what runtimes must know."""

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    batched: bool  # whether dimension 0 of every tensor is a batch of any size
    metadata: dict[str, str]


class OneFrame(nn.Module):
    """Spectrum (B, 2, 1, bins) and the state as flat tensors to the enhanced spectrum and the new state."""

    def __init__(self, network: GTCRN) -> None:
        super().__init__()
        self.network = network
        _, self.form = pytree.tree_flatten(network.initial_state())

    def forward(self, spectrum: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        y, after = self.network(spectrum, pytree.tree_unflatten(state, self.form))
        return (y, *pytree.tree_leaves(after))


class OneHop(nn.Module):
    """The next hop of samples (B, hop), the hop before, the overlap and the state, to a hop that is one hop late.

    The transforms are products with fixed matrices: exact, and found in every runtime.
    """

    analysis: Tensor
    synthesis: Tensor

    def __init__(self, network: GTCRN) -> None:
        super().__init__()
        self.frame = OneFrame(network)
        analysis, synthesis = _transforms(network.config.spectral)
        self.register_buffer("analysis", analysis)  # (n_fft, 2 bins)
        self.register_buffer("synthesis", synthesis)  # (2 bins, n_fft)

    def forward(self, samples: Tensor, previous: Tensor, overlap: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        spectrum = torch.cat((previous, samples), dim=-1) @ self.analysis
        y, *after = self.frame(spectrum.unflatten(-1, (2, 1, -1)), *state)
        done, begun = (y.flatten(1) @ self.synthesis).chunk(2, dim=-1)
        return (done + overlap, samples, begun, *after)


class Sherpa(nn.Module):
    """mix (1, bins, 1, 2) and three stacked caches, as the published graph has them and sherpa-onnx gives them."""

    def __init__(self, network: GTCRN) -> None:
        super().__init__()
        self.network = network

    def forward(self, mix: Tensor, conv: Tensor, tra: Tensor, inter: Tensor) -> tuple[Tensor, ...]:
        """conv (2, 1, C, frames, F) and tra (2, blocks, 1, 1, C) of encoder and decoder, inter (2, 1, F, C)."""
        state = GTCRNState(
            self._blocks(conv[0], tra[0], self.network.initial_state().encoder),
            tuple(inter),
            self._blocks(conv[1], tra[1], self.network.initial_state().decoder),
        )
        y, after = self.network(mix.permute(0, 3, 2, 1), state)
        sides = (after.encoder, after.decoder)
        return (
            y.permute(0, 3, 2, 1),
            torch.stack([torch.cat([block.frames for block in side], dim=2) for side in sides]),
            torch.stack([torch.stack([block.attention[None] for block in side]) for side in sides]),
            torch.stack(after.dual_path),
        )

    @staticmethod
    def _blocks(frames: Tensor, attention: Tensor, like: tuple[GTConvState, ...]) -> tuple[GTConvState, ...]:
        parts = frames.split([block.frames.shape[2] for block in like], dim=2)
        return tuple(GTConvState(part, gru[0]) for part, gru in zip(parts, attention, strict=True))


def _transforms(spectral: SpectralConfig) -> tuple[Tensor, Tensor]:
    """The windowed Fourier transform of a frame and its opposite, real parts before imaginary ones."""
    window = np.sin(np.pi * np.arange(spectral.n_fft) / spectral.n_fft)
    forward = np.fft.rfft(np.diag(window))  # (n_fft, bins)
    unit = np.eye(spectral.bins)
    backward = np.fft.irfft(np.concatenate((unit, 1j * unit)), n=spectral.n_fft) * window
    analysis = np.concatenate((forward.real, forward.imag), axis=1)
    return torch.from_numpy(analysis).float(), torch.from_numpy(backward).float()


def spectrum_graph(network: GTCRN) -> Graph:
    """Names: `spectrum` to `enhanced`, `state_k` to `next_state_k`; zeros before the first frame."""
    state = _state(network)
    frame = torch.zeros(1, 2, 1, network.config.spectral.bins)
    return Graph(OneFrame(network), {"spectrum": frame, **state}, ("enhanced", *_next(state)), True, {})


def samples_graph(network: GTCRN) -> Graph:
    """Names: `samples` to `enhanced`, `previous`, `overlap` and `state_k` to the same with next_; zeros at first."""
    hop = torch.zeros(1, network.config.spectral.hop)
    state = {"previous": hop, "overlap": hop, **_state(network)}
    return Graph(OneHop(network), {"samples": hop, **state}, ("enhanced", *_next(state)), True, {})


def sherpa_graph(network: GTCRN) -> Graph:
    """Names, shapes and metadata of a model that sherpa-onnx takes for gtcrn."""
    config, c = network.config, network.config.channels
    frames = sum(block.frames.shape[2] for block in network.initial_state().encoder)
    shapes = {
        "mix": (1, config.spectral.bins, 1, 2),
        "conv_cache": (2, 1, c, frames, config.width),
        "tra_cache": (2, len(config.dilations), 1, 1, c),
        "inter_cache": (config.dual_path_blocks, 1, config.width, c),
    }
    inputs = {name: torch.zeros(shape) for name, shape in shapes.items()}
    caches = {f"{name}_shape": ",".join(map(str, shapes[name])) for name in list(shapes)[1:]}
    about = {"model_type": "gtcrn", "version": "1", "window_type": "hann_sqrt", **caches}
    spectral = config.spectral
    numbers = {"n_fft": spectral.n_fft, "hop_length": spectral.hop, "window_length": spectral.n_fft}
    return Graph(
        Sherpa(network),
        inputs,
        ("enh", *(f"{name}_out" for name in list(shapes)[1:])),
        False,
        {**about, **{name: str(number) for name, number in numbers.items()}},
    )


GRAPHS: dict[str, Callable[[GTCRN], Graph]] = {
    "spectrum": spectrum_graph,
    "samples": samples_graph,
    "sherpa": sherpa_graph,
}


def export_onnx(weights: Checkpoint, path: Path, shape: str = "spectrum") -> None:
    """Write a graph of one of the three shapes, constants folded; its metadata holds all that a runtime must know.

    It appears whole or not at all. Raises ConfigError for another shape, AudioError for a path that is no ordinary
    file, GtcrnError where it cannot be written.
    """
    if shape not in GRAPHS:
        raise ConfigError(f"there is no shape {shape!r} of an exported graph; there are {', '.join(GRAPHS)}.")
    graph = GRAPHS[shape](checkpoint.to_model(weights).eval())
    with tempfile.TemporaryDirectory() as folder:
        model = onnxslim.slim(_traced(graph, Path(folder) / "traced.onnx"))
    onnx.helper.set_model_props(model, {**_metadata(weights), **graph.metadata})
    with whole(path) as file:
        file.write(model.SerializeToString())


def _traced(graph: Graph, path: Path) -> onnx.ModelProto:
    """As torch writes it to that file."""
    axes = {name: {0: "batch"} for name in (*graph.inputs, *graph.outputs)} if graph.batched else None
    with torch.no_grad(), warnings.catch_warnings():  # a gradient would trace the training's recurrence, step by step
        warnings.simplefilter("ignore")  # of its own age
        torch.onnx.export(
            graph.module.eval(),
            tuple(graph.inputs.values()),
            path,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    return onnx.load(path)


def _state(network: GTCRN) -> dict[str, Tensor]:
    return {f"state_{k}": leaf for k, leaf in enumerate(pytree.tree_leaves(network.initial_state()))}


def _next(state: dict[str, Tensor]) -> tuple[str, ...]:
    return tuple(f"next_{name}" for name in state)


def _metadata(weights: Checkpoint) -> dict[str, str]:
    values: dict[str, Any] = weights.config.to_dict()
    spectral = {name: str(value) for name, value in values["spectral"].items()}
    return {"gtcrn_config": json.dumps(values), **spectral}
