"""`gtcrn info`: what is in an audio file, in weights, in this installation; what each layer costs."""

import shutil
import sys
import textwrap
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from gtcrn import checkpoint, kernel
from gtcrn.audio.media import open_audio
from gtcrn.audio.quiet import without_words_of_libraries
from gtcrn.denoiser import SHIPPED, load, weights_file
from gtcrn.errors import ConfigError, needs

WEIGHTS = (".safetensors", ".tar")


def print_info(source: Path | None) -> None:
    """Facts about a file by its kind, or about shipped weights; None: this version and the default ones."""
    if source is None:
        _print({"gtcrn": version("gtcrn"), "instructions": kernel.INSTRUCTIONS, **_weights(weights_file())})
    elif (path := _file(source)).suffix in WEIGHTS:
        _print({"weights": str(source), **_weights(path)})
    else:
        _print({"file": str(source), **_audio(source)})


def _file(source: Path) -> Path:
    """The shipped weights that are called so, where nothing else is."""
    shipped = SHIPPED / f"{source}.safetensors"
    return shipped if shipped.is_file() and not source.exists() else source


def print_layers(source: Path | None) -> None:
    """Parameters and MAC/s of every layer; then each depthwise-separable pair beside a standard convolution."""
    with needs("train"):
        from gtcrn.network.costs import costs, separable_pairs
    config = checkpoint.read(_file(source) if source else weights_file()).config
    rows = costs(config)
    table = _table("layer", "kind", "parameters", "kMAC/s")
    for row in rows:
        table.add_row(row.name, row.kind, f"{row.parameters:,}", f"{row.macs / 1e3:,.1f}")
    table.add_section()
    table.add_row("total", "", f"{sum(r.parameters for r in rows):,}", f"{sum(r.macs for r in rows) / 1e3:,.1f}")
    pairs = _table("depthwise-separable pair", "weights", "standard", "kMAC/s", "standard", "ratio")
    for row in separable_pairs(config):
        weights, standard = row.standard_weights or 0, row.standard_macs or 0.0
        costs_of_pair = (f"{row.parameters:,}", f"{weights:,}", f"{row.macs / 1e3:,.1f}", f"{standard / 1e3:,.1f}")
        pairs.add_row(row.name, *costs_of_pair, f"{row.parameters / weights:.3f}")
    console = Console(width=max(100, Console().width))  # names of layers are long
    console.print(table)
    console.print(pairs)


def _weights(path: Path) -> dict[str, str]:
    found = checkpoint.read(path)
    config, spectral = found.config, found.config.spectral
    groups = f", {config.band_groups} groups of bands with weights of their own" if config.band_groups > 1 else ""
    facts = {
        "parameters of the kernel": _kernel(path),
        "network": f"{config.channels} channels, {config.bands} bands{groups}",
        "sample rate": f"{spectral.sample_rate} Hz inside, 8,000 to 192,000 Hz outside",
        "frame": f"{spectral.frame_seconds * 1e3:.0f} ms, window and latency {spectral.window_seconds * 1e3:.0f} ms",
    }
    return facts | {name: _value(value) for name, value in found.card.items()}


def _kernel(path: Path) -> str:
    """How many it has, or why it does not run these weights."""
    try:
        denoiser = load(path)
    except ConfigError as error:
        return f"none: {error}"
    return f"{denoiser.params.size:,} numbers, fingerprint {denoiser.fingerprint}"


def _value(value: object) -> str:
    """Scores as `pesq 1.889, estoi 0.643`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(inner)}" for name, inner in value.items())
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _audio(path: Path) -> dict[str, str]:
    with without_words_of_libraries(), open_audio(path, ends="any") as reader:
        form, frames, seconds, remark = reader.format, reader.frames, reader.seconds, reader.remark
    facts = {
        "format": f"{form.container} {form.subtype}",
        "sample rate": f"{form.sample_rate} Hz",
        "channels": str(form.channels),
        "length": _length(seconds, frames),
    }
    return facts | ({"remark": remark} if remark else {})


def _length(seconds: float | None, frames: int | None) -> str:
    if seconds is None:
        return "not told by the file"
    return f"{seconds:.3f} s, {frames} samples" if frames else f"about {seconds:.2f} s"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(name, justify="left" if name in ("layer", "kind", columns[0]) else "right")
    return table


def _printable(text: str) -> str:
    """A name may be no text, or have letters that standard output lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _print(facts: dict[str, str]) -> None:
    width = max(map(len, facts))
    columns = max(40, shutil.get_terminal_size().columns - width - 2)
    for name, value in facts.items():
        lines = textwrap.wrap(_printable(value), columns, break_long_words=False, break_on_hyphens=False)
        print(f"{name:{width}}  " + f"\n{'':{width}}  ".join(lines))
