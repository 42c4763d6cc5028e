"""Checkpoint to the kernel's parameter block: all that can be multiplied out before the first frame.

Batch normalisation goes into the convolution before it, subband features into the convolution after them, the half
of sigmoid(x) = (1 + tanh(x / 2)) / 2 into the gates. Names, sizes and order of the parts are those of
`kernel/layout.h`, and held against them part by part.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest

import numpy as np
from numpy.typing import NDArray

from gtcrn.checkpoint import Checkpoint
from gtcrn.config import GTCRNConfig
from gtcrn.erb import band_centres, erb_matrix
from gtcrn.errors import CheckpointError, ConfigError, GtcrnError
from gtcrn.kernel import SIZES
from gtcrn.kernel.named import LANES, SHARED, Array, Weights

Layout = tuple[tuple[str, int], ...]

GATES = np.array([0.5, 0.5, 1.0])  # r and z are sigmoids, n is a tanh


def fold(checkpoint: Checkpoint) -> NDArray[np.float32]:
    """The kernel's parameters, (n,), aligned to 64 bytes (faster, though the kernel does not need it).

    Raises ConfigError for a configuration that the kernel does not serve, CheckpointError for a weight that is
    missing or of another shape, GtcrnError for a compiled kernel whose block has other parts.
    """
    refuse_other_configs(checkpoint.config)
    parts = [
        (name, np.concatenate([array.ravel() for array in arrays]))
        for name, arrays in _network(Weights(checkpoint, ""))
    ]
    _compare(tuple((name, part.size) for name, part in parts), SIZES[checkpoint.config.channels][1])
    with np.errstate(over="ignore"):
        folded = np.concatenate([part.astype(np.float32) for _, part in parts])
    if not np.isfinite(folded).all():
        raise CheckpointError("the weights, multiplied out, are beyond what float32 holds.")
    return _aligned(folded)


def refuse_other_configs(config: GTCRNConfig) -> None:
    """Raise ConfigError that names the first number of a configuration that no compiled network has."""
    if config.channels not in SIZES:
        sizes = " or ".join(map(str, SIZES))
        raise ConfigError(f"the kernel serves channels = {sizes} only, not {config.channels}; use the torch model.")
    served = GTCRNConfig(channels=config.channels, input_exponent=config.input_exponent).to_dict()
    for name, value in config.to_dict().items():
        values = [0, SHARED] if name == "shared_bands" else [served[name]]
        if value not in values:
            said = " or ".join(map(str, values))
            raise ConfigError(f"the kernel serves {name} = {said} only, not {value}; use the torch model.")


def _compare(written: Layout, expected: Layout) -> None:
    """Raise GtcrnError that names the first of the parts, (name, floats), that the kernel does not expect there."""
    for ours, its in zip_longest(written, expected, fillvalue=("nothing", 0)):
        if ours != its:
            raise GtcrnError(
                f"the compiled kernel expects {its[0]} of {its[1]} floats where {ours[0]} of {ours[1]} is written; "
                "it is of another version: install the package again."
            )


def _aligned(values: NDArray[np.float32]) -> NDArray[np.float32]:
    room = np.empty(len(values) + 16, np.float32)
    start = -room.ctypes.data // 4 % 16
    room[start : start + len(values)] = values
    return room[start : start + len(values)]


def _blocks(weight: Array) -> Array:
    """(outputs, ...) to [block][...][8]: outputs last."""
    return np.moveaxis(weight.reshape(-1, LANES, *weight.shape[1:]), 1, -1)


def _network(w: Weights) -> Iterator[tuple[str, Iterable[Array]]]:
    """The parts by their names in layout.h, each as the arrays that follow one another in it."""
    config = w.config
    blocks, paths = range(len(config.dilations)), range(config.dual_path_blocks)
    erb_run, erb_weight = _erb(config)
    yield "input_roots", [np.array(-math.log2(config.input_exponent))]
    yield "channels", [np.array(float(config.channels))]
    yield "unused", [np.zeros(6)]
    yield "erb_run", [erb_run]
    yield "erb_weight", [erb_weight]
    yield "encoder_first", _encoder_first(w.below("encoder.first"))
    yield "encoder_second", _encoder_second(w.below("encoder.second"))
    yield "encoder", chain.from_iterable(_gtconv_block(w.below(f"encoder.blocks.{i}")) for i in blocks)
    yield "dual_path", chain.from_iterable(_dual_path(w.below(f"dual_path.{i}")) for i in paths)
    yield "decoder", chain.from_iterable(_gtconv_block(w.below(f"decoder.blocks.{i}")) for i in blocks)
    yield "decoder_second", _decoder_second(w.below("decoder.second"))
    yield "decoder_first", _decoder_first(w.below("decoder.first"))
    yield "transform", _fourier(config.spectral.n_fft)


def _erb(config: GTCRNConfig) -> tuple[Array, Array]:
    """Runs of bins from peak to peak of the bands, and each bin's weights in the bands on either side."""
    centres = band_centres(config)
    runs = np.diff(centres, append=config.spectral.bins)
    band = np.repeat(np.arange(config.erb_high), runs)
    matrix = np.pad(erb_matrix(config), ((0, 1), (0, 0)))
    bins = np.arange(len(band))
    weights = np.stack([matrix[band, bins], matrix[band + 1, bins]], axis=1)
    return runs.astype(np.float64), weights.astype(np.float64)


def _fourier(n_fft: int) -> Iterator[Array]:
    """Window, and roots of unity: of the 16 x 16 complex numbers that a frame becomes, and to split those again."""
    yield np.sin(np.pi * np.arange(n_fft) / n_fft)
    for turns in (np.outer(np.arange(16), np.arange(16)) / (n_fft // 2), np.arange(n_fft // 2) / n_fft):
        yield np.stack([np.cos(2 * np.pi * turns), -np.sin(2 * np.pi * turns)])


def _encoder_first(w: Weights) -> Iterator[Array]:
    weight, bias = w.conv("conv", "norm", w.channels, 9, 1, 5)
    weight = weight.reshape(-1, 3, 3, 5)  # output, feature, neighbour, tap
    merged = np.zeros((w.channels, 3, 7))
    for neighbour in range(3):
        merged[:, :, neighbour : neighbour + 5] += weight[:, :, neighbour]
    yield _blocks(merged)
    # Subband features beyond the edge are zero, though one of their neighbours is not: take it out again.
    yield -weight[:, :, 2, 1].T
    yield -weight[:, :, 0, 3].T
    yield bias
    yield w.slope("activation")


def _encoder_second(w: Weights) -> Iterator[Array]:
    weight, bias = w.conv("conv", "norm", w.channels, w.group, 1, 5)
    yield _blocks(weight[:, :, 0].swapaxes(1, 2))
    yield bias
    yield w.slope("activation")


def _decoder_second(w: Weights) -> Iterator[Array]:
    weight, bias = w.conv_transposed("conv", "norm", w.config.groups, w.channels, w.group, 1, 5)
    yield _blocks(weight[:, :, 0].swapaxes(1, 2))
    yield bias
    yield w.slope("activation")


def _decoder_first(w: Weights) -> Iterator[Array]:
    weight, bias = w.conv_transposed("conv", "norm", 1, w.channels, 2, 1, 5)
    rows = np.zeros((4, w.channels, 4, 2))  # four rows of the input to four of the output, two steps apart
    for i, j in np.ndindex(4, 4):
        if 0 <= (tap := j + 4 - 2 * i) < 5:
            rows[i, :, j] = weight[:, :, 0, tap].T
    yield rows
    yield np.tile(bias, 4)


def _gtconv_block(w: Weights) -> Iterator[Array]:
    weights, bias = w.conv_parts("point", "norm", w.channels, w.group, 1, 3)
    yield from (_blocks(weight[:, :, 0].swapaxes(1, 2)) for weight in weights)
    yield bias
    yield w.slope("activation")
    weight, bias = w.conv("separable.depthwise", "separable.norm", w.channels, 1, 3, 3)
    yield weight[:, 0].transpose(1, 2, 0)
    yield bias
    yield w.slope("separable.activation")
    weights, bias = w.conv_parts("separable.pointwise", "separable_norm", w.group, w.channels, 1, 1)
    yield from (_blocks(weight[:, :, 0, 0]) for weight in weights)
    yield bias
    yield from _attention(w.below("attention"))


def _attention(w: Weights) -> Iterator[Array]:
    gates, units = 3 * w.channels, w.channels
    inputs = w.get("gru.weight_ih_l0", gates, w.group).reshape(3, units, w.group)
    state = w.get("gru.weight_hh_l0", gates, units).reshape(3, units, units)
    yield _blocks(_input_gates(inputs).swapaxes(0, 1))
    yield _blocks(_state_gates(state).swapaxes(0, 1))
    biases = [w.get(f"gru.bias_{name}_l0", gates).reshape(3, units) for name in ("ih", "hh")]
    yield _blocks(_gate_biases(*biases).T)
    weight, bias = w.linear("linear", w.group, units)
    yield _blocks(weight) / 2
    yield bias / 2


def _input_gates(weight: Array) -> Array:
    """Gates r, z, n (first axis), the sigmoids' halved."""
    return np.asarray(weight * GATES.reshape(3, *[1] * (weight.ndim - 1)))


def _state_gates(weight: Array) -> Array:
    """The same in the order n, r, z."""
    return np.roll(_input_gates(weight), 1, axis=0)


def _gate_biases(inputs: Array, state: Array) -> Array:
    """(3, units) twice to n of the state, r, z, n of the input: only n keeps them apart. (4, units)"""
    r, z, _ = _input_gates(inputs + state)
    return np.stack([state[2], r, z, inputs[2]])


def _dual_path(w: Weights) -> Iterator[Array]:
    # The kernel's units are group by group, so that both directions of one group lie side by side.
    order = np.arange(w.channels).reshape(2, w.config.groups, -1).swapaxes(0, 1).ravel()
    frame = w.config.width, w.channels
    for path, cells in (("intra", 4), ("inter", 2)):
        below, parts = w.below(path), path == "inter"
        yield from _gru_weights(below, cells, parts)
        yield from _gru_biases(below, cells)
        linear = f"{path}_linear.weight", w.channels, w.channels
        yield from map(_blocks, w.parts(*linear) if parts else [w.get(*linear)[:, order]])
        yield w.get(f"{path}_linear.bias", w.channels)
        yield w.get(f"{path}_norm.weight", *frame)
        yield w.get(f"{path}_norm.bias", *frame)


def _gru_weights(w: Weights, cells: int, parts: bool) -> Iterator[Array]:
    """Those of the input, then those of the state, each part after part where there are `parts` of the width."""
    units = w.channels // cells
    for name, inputs, gates in (("weight_ih", w.group, _input_gates), ("weight_hh", units, _state_gates)):
        shape = cells, 3, units, inputs
        for weight in w.parts(name, *shape) if parts else [w.get(name, *shape)]:
            yield from map(gates, _grouped(weight, w.config.groups))


def _gru_biases(w: Weights, cells: int) -> Iterator[Array]:
    biases = (_grouped(w.get(name, cells, 3, w.channels // cells), w.config.groups) for name in ("bias_ih", "bias_hh"))
    for both in zip(*biases, strict=True):
        yield _gate_biases(*both)


def _grouped(value: Array, groups: int) -> Array:
    """Cells (direction, group) to [group][block of direction, unit][gate][input][8]."""
    value = value.reshape(-1, groups, *value.shape[1:])
    value = np.moveaxis(value, (1, 0, 3), (0, 1, 2))  # group, direction, unit, gate, input
    return _blocks(value.reshape(-1, *value.shape[3:]))
