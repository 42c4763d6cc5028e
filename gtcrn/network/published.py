"""Import of the checkpoints published with the paper (github.com/Xiaobin-Rong/gtcrn): other names, same network.

Three things differ beside names: their GRUs are separate per group and interleave directions with groups, their
decoder convolves transposed, and they apply subband features as a layer of its own.
"""

import re
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gtcrn.checkpoint import MAX_BYTES
from gtcrn.config import GTCRNConfig
from gtcrn.errors import CheckpointError, needs

Array = NDArray[np.float32]

NAMES = (
    (r"(en|de)coder\.\w+_convs\.", r"\1coder."),
    (r"dpgrnn(\d)", lambda m: f"dual_path.{int(m[1]) - 1}"),
    (r"_rnn\.", "."),
    (r"_fc\b", "_linear"),
    (r"_ln\b", "_norm"),
    (r"point_conv1", "point"),
    (r"point_bn1", "norm"),
    (r"point_act", "activation"),
    (r"depth_conv", "separable.depthwise"),
    (r"depth_bn", "separable.norm"),
    (r"depth_act", "separable.activation"),
    (r"point_conv2", "separable.pointwise"),
    (r"point_bn2", "separable_norm"),
    (r"tra\.att_gru", "attention.gru"),
    (r"tra\.att_linear", "attention.linear"),
    (r"\.bn\.", ".norm."),
    (r"\.act\.", ".activation."),
)
LAYERS = {
    "encoder": ("first", "second", "blocks.0", "blocks.1", "blocks.2"),
    "decoder": ("blocks.0", "blocks.1", "blocks.2", "second", "first"),
}


def read_published(path: Path) -> dict[str, Array]:
    """Weights of a published `.tar` (a torch file with tensors only) under this project's names; needs torch."""
    with needs("train"):
        import torch
    try:
        _refuse_bomb(path)
        model = torch.load(path, map_location="cpu", weights_only=True)["model"]
        return convert({name: tensor.numpy() for name, tensor in model.items()})
    except FileNotFoundError as error:
        raise CheckpointError(f"no weights at {path}.") from error
    except Exception as error:  # torch raises many kinds for foreign bytes, and what it reads may be anything
        raise CheckpointError(f"{path.name} is neither safetensors nor a published GTCRN checkpoint.") from error


def _refuse_bomb(path: Path) -> None:
    """Raises ValueError for an archive that would unpack to more than any weights."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise ValueError("it unpacks to too much")


def convert(published: dict[str, Array]) -> dict[str, Array]:
    """Rename, transpose the decoder's convolutions and merge the grouped GRUs."""
    config, weights = GTCRNConfig(), {}
    for name, value in published.items():
        if name.endswith("num_batches_tracked") or name.startswith("erb."):
            continue
        weights[rename(name)] = _plain_convolution(name, value, config)
    for block in range(config.dual_path_blocks):
        for path, directions in (("intra", 2), ("inter", 1)):
            _merge_gru(weights, f"dual_path.{block}.{path}", config.channels, directions)
    return weights


def rename(name: str) -> str:
    """This project's name for a published one."""
    for pattern, replacement in NAMES:
        name = re.sub(pattern, replacement, name)
    return re.sub(r"^(encoder|decoder)\.(\d)", lambda m: f"{m[1]}.{LAYERS[m[1]][int(m[2])]}", name)


def _plain_convolution(name: str, value: Array, config: GTCRNConfig) -> Array:
    """The kernel as an ordinary causal convolution wants it, subband features merged in."""
    if name.startswith("decoder") and "depth_conv.weight" in name:
        value = value[:, :, ::-1, ::-1]  # stride 1: transposed = causal with the kernel flipped
    if name.startswith("decoder") and re.search(r"point_conv\d.weight", name):
        value = value.swapaxes(0, 1)
    if name.endswith("point_conv1.weight"):
        value = value.reshape(config.channels, config.channels // 2, 1, config.neighbours)
    return np.ascontiguousarray(value)


def _merge_gru(weights: dict[str, Array], name: str, channels: int, directions: int) -> None:
    """Two grouped GRUs, one or two directions each, into one; the linear layer after it follows the new order."""
    suffixes = ("", "_reverse")[:directions]
    for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        cells = [weights.pop(f"{name}.rnn{group}.{part}_l0{end}") for end in suffixes for group in (1, 2)]
        weights[f"{name}.{part}"] = np.stack([cell.reshape(3, -1, *cell.shape[1:]) for cell in cells])
    linear = weights[f"{name}_linear.weight"].reshape(channels, 2, directions, -1)
    weights[f"{name}_linear.weight"] = linear.swapaxes(1, 2).reshape(channels, channels)
